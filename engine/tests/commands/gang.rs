//! Gang phases: all ranks or none, one generation at a time, and rank 0's result is the phase's.

use lethe_common::fault::Fault;
use lethe_common::ids::{Generation, TaskId};
use lethe_common::time::Millis;
use lethe_engine::{AuditState, Command, CommitOutcome, Event, GangPlace, PhaseRecord, PhaseState, Tally};

use crate::bench::{
    Bench, abort, acknowledge, audit_record, checkpoint_of, ended, gang, leases, outputs, persist, phase_record,
    running, start_member, task, worker,
};

/// Each retry here is a fault or a loss, so that it counts as a strike too.
fn generation(number: u64, retries: u64) -> Command {
    let tally = Tally { strikes: retries, ..Tally::default() };
    let record = PhaseRecord { generation: Generation(number), retries, tally, ..running() };
    persist(vec![phase_record(0, record)])
}

fn formed(workers: u32, world_size: u32) -> Bench {
    let mut bench = Bench::with_workers(workers);
    bench.submit(vec![gang("train", world_size)]);
    bench
}

#[test]
fn a_gang_forms_when_enough_workers_are_there() {
    let mut bench = formed(1, 2);
    let view = bench.engine.view(&crate::bench::audit()).expect("was submitted");
    assert_eq!(view.phases[0].reason, "not placed: needs 2 idle workers, 1 joined and 1 idle");
    let expected = vec![generation(1, 0), start_member(0, task(0, 0, 0), 1, 2), start_member(1, task(0, 1, 0), 1, 2)];
    assert_eq!(bench.join(1), expected);
}

#[test]
fn rank_0_ends_the_phase_and_the_others_leave_nothing() {
    let mut bench = formed(2, 2);
    assert_eq!(bench.commit(1, task(0, 1, 0)), vec![acknowledge(1, task(0, 1, 0), CommitOutcome::Applied)]);
    let phase = PhaseRecord {
        state: PhaseState::Done { at: Millis(0) },
        generation: Generation(1),
        outputs: outputs(&task(0, 0, 0)),
        ..running()
    };
    let expected = vec![
        persist(vec![
            audit_record(vec![gang("train", 2)], AuditState::Succeeded { at: Millis(0) }, None),
            phase_record(0, phase),
        ]),
        acknowledge(0, task(0, 0, 0), CommitOutcome::Applied),
        ended(),
    ];
    assert_eq!(bench.commit(0, task(0, 0, 0)), expected);
}

#[test]
fn a_lost_member_aborts_the_generation_and_a_survivor_leads_the_next() {
    let mut bench = formed(3, 3);
    let why = "generation aborted: rank 0 on worker w0: worker lost: unplugged";
    let lost = vec![generation(1, 1), abort(1, task(0, 1, 0), why), abort(2, task(0, 2, 0), why)];
    assert_eq!(bench.lose(0), lost);
    assert_eq!(bench.join(3), vec![], "survivors have not stopped yet");
    assert_eq!(bench.fail(1, task(0, 1, 0), Fault::retryable("aborted")), vec![]);
    let next = vec![
        generation(2, 1),
        start_member(2, task(0, 0, 1), 2, 3),
        start_member(1, task(0, 1, 1), 2, 3),
        start_member(3, task(0, 2, 1), 2, 3),
    ];
    assert_eq!(bench.fail(2, task(0, 2, 0), Fault::retryable("aborted")), next);
}

#[test]
fn an_abort_that_is_not_answered_is_given_up() {
    let mut bench = formed(2, 2);
    bench.lose(0);
    bench.join(0);
    let abort_ms = bench.knobs.abort_ms;
    assert_eq!(bench.tick_after(abort_ms - 1), vec![]);
    let next = vec![generation(2, 1), start_member(0, task(0, 0, 1), 2, 2), start_member(1, task(0, 1, 1), 2, 2)];
    assert_eq!(bench.tick_after(1), next);
}

#[test]
fn an_older_generation_cannot_commit() {
    let mut bench = formed(2, 2);
    bench.fail(1, task(0, 1, 0), Fault::retryable("a peer did not answer"));
    let next = bench.commit(0, task(0, 0, 0));
    let expected = vec![
        generation(2, 1),
        acknowledge(0, task(0, 0, 0), CommitOutcome::Stale),
        start_member(0, task(0, 0, 1), 2, 2),
        start_member(1, task(0, 1, 1), 2, 2),
    ];
    assert_eq!(next, expected, "it stopped by ending, too late");
    assert_eq!(
        bench.commit(1, task(0, 0, 1)),
        vec![acknowledge(1, task(0, 0, 1), CommitOutcome::Stale)],
        "not its rank"
    );
}

#[test]
fn failed_generations_are_bounded_over_all_terms_and_new_leaders_cost_nothing() {
    let mut bench = formed(1, 1);
    let max = bench.knobs.max_generations;
    for failed in 1..=max {
        bench.restore();
        let started = bench.join(0);
        let last = leases(&started).pop().expect("a new leader forms it again").1;
        let ends = bench.fail(0, last, Fault::retryable("a peer died"));
        let state = &bench.phase(0).state;
        assert_eq!(*state == PhaseState::Running, failed < max, "{failed}: {state:?} after {ends:?}");
    }
    let PhaseState::Failed { reason, .. } = bench.phase(0).state else { panic!("is failed") };
    let expected =
        "phase train: 20 of at most 20 generations failed, the last: rank 0 on worker w0: a peer died".to_owned();
    assert_eq!((reason, bench.phase(0).tally.strikes), (expected, max));
}

#[test]
fn a_fatal_fault_of_one_rank_stops_all() {
    let mut bench = formed(2, 2);
    let commands = bench.fail(1, task(0, 1, 0), Fault::fatal("shapes differ"));
    assert_eq!(commands[1..], [abort(0, task(0, 0, 0), "the audit failed"), ended()]);
    let reason = "phase train, rank 1 on worker w1: shapes differ".to_owned();
    assert_eq!(bench.phase(0).state, PhaseState::Failed { at: Millis(0), reason });
    assert_eq!(bench.fail(0, task(0, 0, 0), Fault::fatal("stopped")), vec![], "nobody asks any more: {}", worker(0));
}

/// One rank of one fails again and again, each time after it has got on; the next generation's task.
fn failing_after(bench: &mut Bench, last: TaskId, gets_on: impl Fn(&mut Bench, &TaskId)) -> Option<TaskId> {
    gets_on(bench, &last);
    let next = bench.fail(0, last, Fault::retryable("the executor was killed"));
    leases(&next).pop().map(|(_, task)| task)
}

#[test]
fn a_rank_that_takes_steps_between_its_losses_is_not_left_to_rest() {
    let steps = |bench: &mut Bench, task: &TaskId| {
        for step in [4, 5] {
            let place = GangPlace { step, call: "all_reduce".to_owned(), call_number: 1, waits: true };
            bench.step(Event::GangProgressed { worker: worker(0), task: task.clone(), place });
        }
    };
    let mut bench = formed(1, 1);
    let mut last = task(0, 0, 0);
    for _ in 0..10 {
        last = failing_after(&mut bench, last, steps).expect("the next generation forms at once");
    }
    for _ in 0..2 {
        let next = failing_after(&mut bench, last.clone(), |_, _| {});
        let Some(next) = next else { return };
        last = next;
    }
    panic!("a rank that fails before any step does not rest");
}

#[test]
fn a_gang_that_leaves_checkpoints_does_not_use_its_generations_up() {
    let mut bench = formed(1, 1);
    let mut last = task(0, 0, 0);
    for step in 1..=2 * bench.knobs.max_generations {
        bench.checkpoint(0, last.clone(), checkpoint_of(&last, step));
        let place = |step| GangPlace { step, ..GangPlace::default() };
        for at in [step, step + 1] {
            bench.step(Event::GangProgressed { worker: worker(0), task: last.clone(), place: place(at) });
        }
        last = failing_after(&mut bench, last, |_, _| {}).expect("the next generation forms");
    }
    assert_eq!(bench.phase(0).tally.strikes, 1, "since the last checkpoint");
}
