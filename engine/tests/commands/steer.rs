//! What people ask of audits and workers: drain, pause, resume; and stalls, which are nobody's fault.

use lethe_common::fault::Fault;
use lethe_common::ids::PhaseIndex;
use lethe_engine::{AuditState, Command, CommitOutcome, Control, Event, MAX_DEEDS, Options, Plan};

use crate::bench::{Bench, abort, acknowledge, control, gang, leased, leases, map, reduce, task};

fn pause() -> Event {
    control(Control::Pause)
}

fn resume() -> Event {
    control(Control::Resume)
}

#[test]
fn a_draining_worker_gets_nothing_new_and_its_work_goes_on_elsewhere() {
    let mut bench = Bench::with_workers(2);
    bench.outlined(vec![reduce("plan"), map("score")], 4);
    assert_eq!(bench.drain(0), vec![]);
    let views = bench.engine.worker_views();
    assert_eq!((views[0].state, views[0].reason.as_str()), ("draining", "SIGTERM"));
    assert_eq!(leased(&bench.fail(0, task(1, 0, 0), Fault::handed_back("drains"))), []);
    assert_eq!(leased(&bench.commit(1, task(1, 1, 0))), [(1, 0)]);
    bench.drain(1);
    bench.commit(1, task(1, 0, 1));
    assert_eq!(bench.view().phases[1].reason, "all 2 workers drain");
    bench.lose(0);
    assert_eq!(leased(&bench.join(0)), [(0, 2)], "the next process of that name serves");
}

#[test]
fn a_drained_gang_forms_again_without_a_strike() {
    let mut bench = Bench::with_workers(3);
    bench.submit(vec![gang("train", 2)]);
    bench.drain(0);
    bench.fail(0, task(0, 0, 0), Fault::handed_back("drains"));
    let formed = bench.fail(1, task(0, 1, 0), Fault::handed_back("aborted"));
    assert_eq!(leased(&formed), [(1, 0), (2, 1)]);
    assert_eq!(bench.phase(0).tally.strikes, 0);
}

#[test]
fn a_paused_map_finishes_what_runs_and_begins_nothing() {
    let mut bench = Bench::with_workers(1);
    bench.outlined(vec![reduce("plan"), map("score")], 3);
    assert!(matches!(bench.step(pause())[..], [Command::Persist(_)]), "no task is aborted");
    assert_eq!(bench.step(pause()), vec![], "once is enough");
    let commit = bench.commit(0, task(1, 0, 0));
    assert!(commit.contains(&acknowledge(0, task(1, 0, 0), CommitOutcome::Applied)), "{commit:?}");
    assert_eq!(leased(&commit), []);
    assert_eq!(bench.view().reason, "it is paused; `lethe resume` lets it go on");
    bench.restore();
    assert_eq!(leased(&bench.join(0)), [], "a new leader keeps it paused");
    assert_eq!(leased(&bench.step(resume())), [(0, 1)]);
    assert_eq!(bench.step(resume()), vec![]);
}

#[test]
fn a_paused_gang_stops_and_forms_again_without_a_strike() {
    let mut bench = Bench::with_workers(1);
    bench.submit(vec![gang("train", 1)]);
    let paused = bench.step(pause());
    assert_eq!(paused[1..], [abort(0, task(0, 0, 0), "generation aborted: the audit was paused")]);
    bench.fail(0, task(0, 0, 0), Fault::handed_back("aborted"));
    let resumed = bench.step(resume());
    assert_eq!(leases(&resumed), [("w0".to_owned(), task(0, 0, 1))]);
    let phase = bench.phase(0);
    assert_eq!((phase.generation.0, phase.tally.strikes, phase.retries), (2, 0, 0));
}

#[test]
fn time_spent_paused_without_workers_is_no_reason_to_fail() {
    let mut bench = Bench::with_workers(1);
    bench.outlined(vec![reduce("plan"), map("score")], 3);
    bench.step(pause());
    bench.lose(0);
    bench.tick_after(bench.knobs.grace_ms * 10);
    bench.step(resume());
    assert_eq!(bench.view().state, AuditState::Running, "it has the whole grace from here");
    bench.tick_after(bench.knobs.grace_ms);
    assert!(matches!(bench.view().state, AuditState::Failed { .. }));
}

#[test]
fn what_has_ended_is_not_paused_resumed_cancelled_or_begun_again() {
    let mut bench = Bench::with_workers(1);
    bench.outlined(vec![reduce("plan"), map("score")], 3);
    bench.step(control(Control::Cancel));
    let ended = bench.engine.durable();
    for event in [pause(), resume(), control(Control::Cancel)] {
        assert_eq!(bench.step(event), vec![]);
    }
    assert_eq!(bench.submit(vec![reduce("plan")]), vec![]);
    bench.commit(0, task(1, 0, 0));
    assert_eq!(bench.engine.durable(), ended);
}

/// An audit of a reduce and a last phase, which waits for a person.
fn reported() -> Bench {
    let mut bench = Bench::new();
    let options = Options { approval: true, ..Options::default() };
    bench.submit_with("a", vec![reduce("report"), reduce("deliver")], options);
    bench
}

#[test]
fn the_last_phase_begins_when_a_person_has_approved() {
    let mut bench = reported();
    assert_eq!(bench.step(control(Control::Approve)), vec![], "there is nothing to approve yet");
    let waits = bench.reduce_done(0, 0, None);
    assert!(matches!(waits[..], [Command::Persist(_)]), "{waits:?}");
    let view = bench.view();
    assert!(view.awaits_approval && view.unapproved && view.reason.contains("lethe approve"), "{view:?}");
    bench.restore();
    assert_eq!(bench.tick_after(1_000_000), vec![], "a new leader lets it wait, for as long as it takes");
    let begins = bench.step(control(Control::Approve));
    assert!(matches!(begins[..], [Command::Persist(_), Command::StartReduce { .. }]), "{begins:?}");
    assert_eq!(bench.step(control(Control::Approve)), vec![], "once is enough");
    let view = bench.view();
    assert!(!view.awaits_approval && !view.unapproved, "{view:?}");
}

#[test]
fn what_waits_for_a_person_keeps_nobody_waiting_and_can_be_turned_down() {
    let mut bench = reported();
    bench.knobs.max_running = 1;
    bench.restore();
    bench.tick_after(1);
    bench.reduce_done(0, 0, None);
    assert!(bench.view().awaits_approval);
    bench.submit_with("other", vec![reduce("plan")], Options::default());
    let other = bench.engine.view(&crate::bench::named("other")).expect("is there");
    assert_eq!(other.queue_position, None);
    bench.step(control(Control::Cancel));
    assert!(matches!(bench.view().state, AuditState::Cancelled { .. }));
    assert!(bench.view().unapproved, "what it made stays withheld");
}

/// What was made under a person's eye is not given away by a run that asks nobody.
#[test]
fn a_rerun_asks_a_person_where_its_source_does() {
    let mut bench = reported();
    bench.reduce_done(0, 0, None);
    let plan = Plan { phases: vec![reduce("report"), reduce("deliver")] };
    bench.step(Event::RerunRequested {
        audit: crate::bench::named("again"),
        of: crate::bench::audit(),
        from: PhaseIndex(1),
        plan,
        spec_json: "{}".to_owned(),
        options: Options::default(),
    });
    let again = bench.engine.view(&crate::bench::named("again")).expect("is there");
    assert!(again.awaits_approval && again.unapproved, "{again:?}");
}

#[test]
fn a_history_keeps_its_beginning_its_approval_and_its_end() {
    let mut bench = reported();
    bench.reduce_done(0, 0, None);
    bench.step(control(Control::Approve));
    for _ in 0..MAX_DEEDS {
        bench.step(pause());
        bench.step(resume());
    }
    bench.step(control(Control::Cancel));
    let deeds = bench.view().deeds;
    assert_eq!(deeds.len(), MAX_DEEDS);
    assert_eq!(deeds[0].what, lethe_engine::What::Submitted);
    assert_eq!(deeds[1].what, lethe_engine::What::Controlled(Control::Approve));
    assert!(!bench.view().unapproved);
    assert_eq!(deeds[MAX_DEEDS - 1].what, lethe_engine::What::Controlled(Control::Cancel));
}

#[test]
fn a_stall_costs_nobody_a_lease() {
    let expired = |stalled: bool| {
        let mut bench = Bench::with_workers(1);
        bench.outlined(vec![reduce("plan"), map("score")], 1);
        bench.now = bench.now.plus_ms(10_000);
        if stalled {
            bench.step(Event::Stalled { ms: 10_000 });
        }
        let late = bench.tick_after(299);
        let last = bench.tick_after(1);
        (late, last).0.is_empty()
    };
    assert_eq!((expired(true), expired(false)), (true, false));
}

#[test]
fn a_stall_does_not_count_towards_the_grace() {
    let mut bench = Bench::with_workers(1);
    bench.outlined(vec![reduce("plan"), map("score")], 1);
    bench.lose(0);
    let grace_ms = bench.knobs.grace_ms;
    bench.now = bench.now.plus_ms(grace_ms);
    bench.step(Event::Stalled { ms: grace_ms });
    assert_eq!(bench.view().state, AuditState::Running);
    bench.tick_after(grace_ms);
    assert!(matches!(bench.view().state, AuditState::Failed { .. }));
}
