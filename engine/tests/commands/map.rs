//! Map phases: the first commit of a shard counts, the rest go round again.

use lethe_common::blob::NamedBlob;
use lethe_common::fault::Fault;
use lethe_common::ids::{Attempt, PhaseIndex, ShardId, TaskId, Term};
use lethe_engine::{
    Command, CommitOutcome, Event, InputSpec, Outline, Output, PhaseRecord, PhaseSpec, PhaseState, Scope,
};

use crate::bench::{
    Bench, abort, acknowledge, audit, audit_record, done, ended, map, outputs, persist, phase_record, reduce, running,
    segment_record, start_map, task, worker,
};
use lethe_common::time::Millis;
use lethe_engine::AuditState;

fn plan() -> Vec<PhaseSpec> {
    vec![reduce("plan"), map("score")]
}

fn retried(retries: u64) -> Command {
    persist(vec![phase_record(1, PhaseRecord { retries, ..running() })])
}

#[test]
fn idle_workers_get_the_first_shards_in_worker_order() {
    let mut bench = Bench::with_workers(2);
    let outline = Some(Outline { shards: 3, ..Outline::default() });
    let expected = vec![
        persist(vec![
            audit_record(plan(), AuditState::Running, outline),
            phase_record(0, done()),
            phase_record(1, running()),
        ]),
        start_map(0, task(1, 0, 0), vec![]),
        start_map(1, task(1, 1, 0), vec![]),
    ];
    assert_eq!(bench.outlined(plan(), 3), expected);
}

#[test]
fn a_commit_is_stored_acknowledged_and_followed_by_the_next_shard() {
    let mut bench = Bench::with_workers(1);
    bench.outlined(plan(), 2);
    let first = vec![
        persist(vec![segment_record(1, 0, &[task(1, 0, 0)])]),
        acknowledge(0, task(1, 0, 0), CommitOutcome::Applied),
        start_map(0, task(1, 1, 0), vec![]),
    ];
    assert_eq!(bench.commit(0, task(1, 0, 0)), first);
    let outline = Some(Outline { shards: 2, ..Outline::default() });
    let last = vec![
        persist(vec![
            audit_record(plan(), AuditState::Succeeded { at: Millis(0) }, outline),
            phase_record(1, done()),
            segment_record(1, 0, &[task(1, 0, 0), task(1, 1, 0)]),
        ]),
        acknowledge(0, task(1, 1, 0), CommitOutcome::Applied),
        ended(),
    ];
    assert_eq!(bench.commit(0, task(1, 1, 0)), last);
}

#[test]
fn a_commit_repeated_for_a_lost_answer_is_told_the_same() {
    let mut bench = Bench::with_workers(1);
    bench.outlined(plan(), 2);
    bench.commit(0, task(1, 0, 0));
    assert_eq!(bench.commit(0, task(1, 0, 0)), vec![acknowledge(0, task(1, 0, 0), CommitOutcome::Applied)]);
    assert_eq!(bench.engine.dropped(), 0);
}

#[test]
fn a_lost_workers_shard_goes_to_another_as_a_newer_attempt() {
    let mut bench = Bench::with_workers(2);
    bench.outlined(plan(), 2);
    assert_eq!(bench.lose(0), vec![retried(1)]);
    let next = vec![
        persist(vec![segment_record(1, 0, &[task(1, 1, 0)])]),
        acknowledge(1, task(1, 1, 0), CommitOutcome::Applied),
        start_map(1, task(1, 0, 1), vec![]),
    ];
    assert_eq!(bench.commit(1, task(1, 1, 0)), next);
}

#[test]
fn a_worker_that_joins_again_has_lost_its_task() {
    let mut bench = Bench::with_workers(1);
    bench.outlined(plan(), 1);
    assert_eq!(bench.join(0), vec![retried(1), start_map(0, task(1, 0, 1), vec![])]);
}

#[test]
fn a_failed_shard_avoids_the_worker_it_failed_on() {
    let mut bench = Bench::with_workers(2);
    bench.outlined(plan(), 3);
    let again = vec![retried(1), start_map(0, task(1, 2, 0), vec![])];
    assert_eq!(bench.fail(0, task(1, 0, 0), Fault::retryable("disk full")), again);
    assert_eq!(bench.commit(1, task(1, 1, 0))[2..], [start_map(1, task(1, 0, 1), vec![])]);
}

#[test]
fn a_lease_without_progress_expires_and_its_late_commit_still_counts_first() {
    let mut bench = Bench::with_workers(1);
    bench.outlined(plan(), 1);
    let lease_ms = bench.knobs.lease_ms;
    bench.now = Millis(lease_ms - 1);
    assert_eq!(bench.step(Event::TaskProgressed { worker: worker(0), task: task(1, 0, 0) }), vec![]);
    assert_eq!(bench.tick_after(1), vec![], "progress renewed the lease");
    let expired = vec![retried(1), abort(0, task(1, 0, 0), "its lease ran out")];
    assert_eq!(bench.tick_after(lease_ms), expired);
    assert_eq!(bench.join(1), vec![start_map(1, task(1, 0, 1), vec![])]);
    let late = bench.commit(0, task(1, 0, 0));
    let at = bench.now;
    let outline = Some(Outline { shards: 1, ..Outline::default() });
    let phase = PhaseRecord { state: PhaseState::Done { at }, retries: 1, ..running() };
    let expected = vec![
        persist(vec![
            audit_record(plan(), AuditState::Succeeded { at }, outline),
            phase_record(1, phase),
            segment_record(1, 0, &[task(1, 0, 0)]),
        ]),
        abort(1, task(1, 0, 1), "the shard has ended otherwise"),
        acknowledge(0, task(1, 0, 0), CommitOutcome::Applied),
        ended(),
    ];
    assert_eq!(late, expected);
    assert_eq!(bench.commit(1, task(1, 0, 1)), vec![acknowledge(1, task(1, 0, 1), CommitOutcome::Stale)]);
    assert_eq!(bench.engine.dropped(), 1);
}

#[test]
fn an_attempt_nobody_issued_is_stale() {
    let mut bench = Bench::with_workers(1);
    bench.outlined(plan(), 2);
    let older_term = TaskId { attempt: Attempt { term: Term(0), counter: 0 }, ..task(1, 0, 0) };
    for never in [older_term, task(1, 0, 1), task(1, 1, 0), task(0, 0, 0), task(9, 0, 0)] {
        let stale = vec![acknowledge(0, never.clone(), CommitOutcome::Stale)];
        assert_eq!(bench.commit(0, never), stale);
    }
}

#[test]
fn a_fatal_fault_fails_the_audit_at_once_and_stops_the_others() {
    let mut bench = Bench::with_workers(2);
    bench.outlined(plan(), 2);
    let commands = bench.fail(0, task(1, 0, 0), Fault::fatal("no tensor visual.proj"));
    assert_eq!(commands[1..], [abort(1, task(1, 1, 0), "the audit failed"), ended()]);
}

#[test]
fn an_empty_map_is_done_at_once() {
    let mut bench = Bench::new();
    let commands = bench.outlined(plan(), 0);
    assert_eq!(commands[1..], [ended()]);
}

#[test]
fn a_sampling_map_reads_its_sample_and_the_outputs_its_plan_names() {
    let reading = |phase, scope| InputSpec { phase: PhaseIndex(phase), scope };
    let mut rescore = map("rescore");
    rescore.inputs = vec![reading(1, Scope::SameShard), reading(0, Scope::All)];
    let mut bench = Bench::with_workers(1);
    bench.submit(vec![reduce("plan"), map("score"), rescore]);
    let outline = Outline { shards: 2, samples: [(PhaseIndex(2), vec![ShardId(1)])].into() };
    bench.reduce_done(0, 0, Some(outline));
    bench.commit(0, task(1, 0, 0));
    let commands = bench.commit(0, task(1, 1, 0));
    let output =
        |phase: &str, shard, blobs: Vec<NamedBlob>| Output { phase: phase.to_owned(), shard: ShardId(shard), blobs };
    let inputs = vec![output("score", 1, outputs(&task(1, 1, 0)))];
    assert_eq!(commands[2..], [start_map(0, task(2, 1, 0), inputs)]);
    let shared = bench.engine.phase_context(&audit(), PhaseIndex(2)).expect("is a map");
    assert_eq!((shared.program.as_str(), shared.inputs), ("score", vec![output("plan", 0, vec![])]));
    assert_eq!(bench.engine.phase_context(&audit(), PhaseIndex(0)), None, "a reduce is sent its inputs");
    assert_eq!(bench.engine.audits().collect::<Vec<_>>(), vec![&audit()]);
}
