//! Faults and losses: what each kind costs the shard, its worker and the audit.

use lethe_common::fault::Fault;
use lethe_common::ids::{PhaseIndex, ShardId, Term};
use lethe_common::time::Millis;
use lethe_engine::{
    AuditState, Command, CommitOutcome, Engine, Event, Options, Outline, PhaseRecord, PhaseState, QuarantineView,
};

use crate::bench::{
    Bench, COUNTS, acknowledge, leased, map, outputs, persist, phase_record, quarantine_record, reduce, running,
    start_map, task, worker,
};

const ANY_LOSS: Options = Options {
    submitter: String::new(),
    priority: 0,
    max_lost_ppm: 1_000_000,
    check_ppm: 0,
    approval: false,
    traceparent: None,
};

fn tolerant(workers: u32, shards: u32) -> Bench {
    let mut bench = Bench::with_workers(workers);
    bench.submit_with("a", vec![reduce("plan"), map("score"), map("rescore")], ANY_LOSS);
    bench.reduce_done(0, 0, Some(Outline { shards, ..Outline::default() }));
    bench
}

fn reason(bench: &Bench) -> String {
    match bench.view().state {
        AuditState::Failed { reason, .. } => reason,
        state => panic!("{state:?}"),
    }
}

#[test]
fn what_is_handed_back_costs_nothing() {
    let mut bench = tolerant(1, 1);
    for counter in 0..50 {
        let commands = bench.fail(0, task(1, 0, counter), Fault::handed_back("the worker drains"));
        assert_eq!(leased(&commands), [(0, 0)], "neither the shard nor the worker is to blame");
    }
}

#[test]
fn a_bad_shard_is_quarantined_at_once_and_the_audit_goes_on() {
    let mut bench = Bench::with_workers(1);
    bench.outlined(vec![reduce("plan"), map("score")], 50);
    let expected = vec![
        persist(vec![
            phase_record(1, PhaseRecord { retries: 1, ..running() }),
            quarantine_record(1, 0, 1, "worker w0: it changed"),
        ]),
        start_map(0, task(1, 1, 0), vec![]),
    ];
    assert_eq!(bench.fail(0, task(1, 0, 0), Fault::bad_shard("it changed")), expected);
}

#[test]
fn a_shard_that_always_fails_is_quarantined_with_its_reason() {
    let mut bench = tolerant(1, 1);
    for counter in 0..5 {
        bench.fail(0, task(1, 0, counter), Fault::retryable("disk full"));
        bench.tick_after(50);
    }
    let (phase, shard, reason) = (PhaseIndex(1), ShardId(0), "worker w0: disk full".to_owned());
    assert_eq!(bench.view().quarantined, [QuarantineView { phase, shard, tries: 5, reason }]);
    assert!(matches!(bench.view().state, AuditState::Succeeded { .. }), "{:?}", bench.view().state);
}

#[test]
fn a_full_disk_uses_up_no_shard_and_is_waited_for_as_long_as_for_workers() {
    let mut bench = tolerant(2, 2);
    let full = || Fault::storage("blob 0: no space left on device");
    let mut tries = 0;
    while bench.now.0 < bench.knobs.grace_ms - bench.knobs.lease_ms {
        for index in 0..2 {
            let held = bench.held(index);
            tries += held.len();
            held.into_iter().for_each(|running| drop(bench.fail(index, running, full())));
        }
        bench.tick_after(5);
    }
    assert!(tries > 10, "more than a shard's tries: {tries}");
    assert_eq!(bench.view().quarantined, []);
    bench.tick_after(bench.knobs.lease_ms);
    (0..2).for_each(|index| bench.held(index).into_iter().for_each(|running| drop(bench.commit(index, running))));
    assert_eq!(bench.view().phases[1].done, 2, "the disk was freed");
}

/// A shard that computes for longer than the grace has its tries none the less.
#[test]
fn a_long_try_is_no_long_outage() {
    let mut bench = tolerant(1, 1);
    bench.knobs.lease_ms = 10 * bench.knobs.grace_ms;
    for tries in 0..4 {
        let running = bench.held(0).pop().expect("runs");
        for _ in 0..200 {
            bench.progress(0, &running);
            bench.tick_after(bench.knobs.grace_ms / 100);
        }
        bench.fail(0, running, Fault::storage("no space left on device"));
        assert_eq!(bench.view().quarantined, [], "after {tries} tries");
        (0..400).for_each(|_| drop(bench.tick_after(1)));
    }
}

#[test]
fn a_shard_that_cannot_be_stored_where_others_can_is_given_up_in_the_end() {
    let mut bench = tolerant(1, 300);
    let mut stored = 0;
    while bench.view().quarantined.is_empty() {
        for running in bench.held(0) {
            match running.shard {
                ShardId(0) => drop(bench.fail(0, running, Fault::storage("blob 0: file too large"))),
                _ => drop(bench.commit(0, running)),
            }
            stored += 1;
        }
        bench.tick_after(5);
        assert_eq!(bench.view().state, AuditState::Running, "for one shard");
    }
    assert!(stored > 300, "the others did not wait for it: {stored}");
    assert!(bench.now.0 >= bench.knobs.grace_ms, "{}", bench.now.0);
}

#[test]
fn a_shard_that_always_kills_is_quarantined_with_its_reason() {
    let mut bench = tolerant(1, 1);
    for _ in 0..20 {
        bench.lose(0);
        bench.join(0);
    }
    let shown = &bench.view().quarantined[0];
    assert_eq!((shown.tries, shown.reason.as_str()), (20, "worker w0: worker lost: unplugged"));
}

#[test]
fn too_much_lost_fails_the_audit_and_names_the_last() {
    let mut bench = Bench::with_workers(1);
    bench.outlined(vec![reduce("plan"), map("score")], 99);
    bench.fail(0, task(1, 0, 0), Fault::bad_shard("it changed"));
    assert_eq!(bench.view().state, AuditState::Running, "1 of 99 is less than 2 %");
    bench.fail(0, task(1, 1, 0), Fault::bad_shard("no tar"));
    let expected = "phase score: 2 of 99 shards are lost, more than the share of 0.02 that data.max_failed_share \
                    allows; the last was shard 1, worker w0: no tar";
    assert_eq!(reason(&bench), expected);
}

#[test]
fn later_phases_leave_quarantined_shards_out() {
    let mut bench = tolerant(1, 3);
    bench.fail(0, task(1, 0, 0), Fault::bad_shard("it changed"));
    bench.commit(0, task(1, 1, 0));
    assert_eq!(leased(&bench.commit(0, task(1, 2, 0))), [(0, 1)], "the first shard of the second map");
    assert_eq!((bench.view().phases[2].total, bench.view().phases[1].quarantined), (2, 1));
    bench.restore();
    assert_eq!(leased(&bench.join(0)), [(0, 1)], "a new leader leaves it out too");
}

fn halvings(commands: &[Command]) -> Vec<u32> {
    let told = commands.iter().filter_map(|command| match command {
        Command::StartMap(start) => Some(start.batch_halvings),
        _ => None,
    });
    told.collect()
}

#[test]
fn a_lack_of_memory_halves_the_batch_once_for_all_of_a_kind() {
    let mut bench = Bench::new();
    (0..2).for_each(|i| drop(bench.join_as(i, "gpu", 1)));
    bench.join_as(2, "cpu", 1);
    bench.outlined(vec![reduce("plan"), map("score")], 9);
    for index in 0..2 {
        let again = bench.fail(index, task(1, index, 0), Fault::out_of_memory("16 GB"));
        assert_eq!(halvings(&again), [1], "both had run with the whole batch");
    }
    assert_eq!(bench.phase(1).halvings, [("gpu".to_owned(), 1)].into());
    assert_eq!(halvings(&bench.commit(2, task(1, 2, 0))), [0], "another kind has the whole batch");
    bench.restore();
    assert_eq!(halvings(&bench.join_as(0, "gpu", 1)), [1], "a new leader remembers");
}

#[test]
fn a_batch_of_one_that_does_not_fit_is_a_fault_like_any_other() {
    let mut bench = Bench::new();
    bench.knobs.grace_ms = 60_000;
    bench.engine = Engine::new(Term(1), bench.knobs.clone());
    bench.join(0);
    bench.submit_with("a", vec![reduce("plan"), map("score")], ANY_LOSS);
    bench.reduce_done(0, 0, Some(Outline { shards: 1, ..Outline::default() }));
    let (halvings, attempts) = (u64::from(bench.knobs.max_halvings), u64::from(bench.knobs.max_attempts));
    for counter in 0..halvings + attempts {
        assert_eq!(bench.view().quarantined, [], "after {counter}");
        bench.fail(0, task(1, 0, counter), Fault::out_of_memory("16 GB"));
        bench.tick_after(if counter == 0 { 1 } else { 299 });
        bench.tick_after(1);
    }
    assert_eq!(bench.view().quarantined[0].tries, 5);
}

#[test]
fn a_worker_whose_tasks_fail_rests_longer_each_time() {
    let mut bench = Bench::with_workers(1);
    bench.outlined(vec![reduce("plan"), map("score")], 9);
    let fault = || Fault::retryable("no such device");
    assert_eq!(leased(&bench.fail(0, task(1, 0, 0), fault())), [(0, 1)], "one failure may be the shard's");
    assert_eq!(leased(&bench.fail(0, task(1, 1, 0), fault())), []);
    let view = &bench.engine.worker_views()[0];
    assert_eq!((view.state, view.reason.as_str()), ("resting", "its tasks fail, the last: no such device"));
    assert_eq!(leased(&bench.tick_after(9)), []);
    assert_eq!(leased(&bench.tick_after(1)), [(0, 2)]);
    bench.fail(0, task(1, 2, 0), fault());
    assert_eq!(leased(&bench.tick_after(19)), []);
    assert_eq!(leased(&bench.tick_after(1)), [(0, 3)]);
    bench.commit(0, task(1, 3, 0));
    assert_eq!(leased(&bench.fail(0, task(1, 4, 0), fault())), [(0, 5)], "a success makes it good again");
}

#[test]
fn where_every_worker_fails_the_audit_fails_after_the_grace_and_says_why() {
    let mut bench = Bench::with_workers(1);
    bench.outlined(vec![reduce("plan"), map("score")], 1_000);
    let mut running = task(1, 0, 0);
    while bench.view().state == AuditState::Running {
        assert!(bench.now < Millis(2 * bench.knobs.grace_ms), "it should have failed by now");
        let mut commands = bench.fail(0, running.clone(), Fault::retryable("no such device"));
        while leased(&commands).is_empty() && bench.view().state == AuditState::Running {
            commands = bench.tick_after(10);
        }
        running = crate::bench::leases(&commands).pop().map_or(running, |(_, task)| task);
    }
    assert!(bench.now >= Millis(bench.knobs.grace_ms), "{:?}", bench.now);
    let reason = reason(&bench);
    assert!(reason.contains("every worker failed one task after the other, worker w0: no such device"), "{reason}");
}

#[test]
fn an_audit_that_only_waits_is_not_to_blame_for_workers_that_fail_at_another() {
    let mut bench = Bench::with_workers(1);
    let first = Options { priority: 1, ..Options::default() };
    bench.outlined_as("b", 1_000, first);
    bench.outlined_as("a", 1_000, Options::default());
    let mut running = crate::bench::leases(&bench.step(Event::Tick)).pop().map_or_else(
        || lethe_common::ids::TaskId { audit: crate::bench::named("b"), ..task(1, 0, 0) },
        |(_, task)| task,
    );
    for _ in 0..20 {
        let mut commands = bench.fail(0, running.clone(), Fault::retryable("no such device"));
        (0..40).for_each(|_| {
            if leased(&commands).is_empty() {
                commands = bench.tick_after(10);
            }
        });
        running = crate::bench::leases(&commands).pop().map_or(running, |(_, task)| task);
    }
    let state = |id: &str| bench.engine.view(&crate::bench::named(id)).expect("is there").state;
    assert!(matches!(state("b"), AuditState::Failed { .. }), "{:?}", state("b"));
    assert_eq!(state("a"), AuditState::Running);
}

#[test]
fn outputs_that_lie_elsewhere_are_refused_and_the_try_has_failed() {
    let mut bench = Bench::with_workers(1);
    bench.outlined(vec![reduce("plan"), map("score")], 1);
    let mut outputs = outputs(&task(1, 0, 0));
    outputs[0].blob.path = "a/001/0000007/1.0/out".to_owned();
    let event = Event::TaskCommitted { worker: worker(0), task: task(1, 0, 0), outputs, counts: COUNTS };
    let expected = vec![
        persist(vec![phase_record(1, PhaseRecord { retries: 1, ..running() })]),
        acknowledge(0, task(1, 0, 0), CommitOutcome::Refused),
        start_map(0, task(1, 0, 1), vec![]),
    ];
    assert_eq!(bench.step(event), expected);
}

#[test]
fn a_shard_goes_back_to_the_worker_it_failed_on_where_the_other_cannot_have_it() {
    let mut bench = Bench::with_workers(2);
    bench.submit_with("a", vec![reduce("plan"), map("score")], Options { check_ppm: 1_000_000, ..ANY_LOSS });
    bench.reduce_done(0, 0, Some(Outline { shards: 1, ..Outline::default() }));
    let other = bench.fail(0, task(1, 0, 0), Fault::retryable("disk full"));
    assert_eq!(leased(&other), [(1, 0)]);
    assert_eq!(leased(&bench.commit(1, task(1, 0, 1))), [(0, 0)], "its opinion is the only second one");
}

#[test]
fn a_second_outline_after_shards_have_ended_is_refused() {
    let mut bench = Bench::with_workers(1);
    bench.outlined(vec![reduce("plan"), map("score"), reduce("again")], 2);
    bench.commit(0, task(1, 0, 0));
    bench.commit(0, task(1, 1, 0));
    bench.reduce_done(2, 0, Some(Outline { shards: 1, ..Outline::default() }));
    assert!(matches!(bench.phase(2).state, PhaseState::Failed { .. }), "{:?}", bench.phase(2).state);
    bench.restore();
}
