//! A new leader: the same durable state, no leases, everything running begun again.

use lethe_common::ids::{Attempt, PhaseIndex, ShardId, TaskId, Term};
use lethe_engine::{CommitOutcome, Engine, Event, PhaseRecord, PhaseState, Record, RestoreError};

use crate::bench::{Bench, acknowledge, audit, map, named, reduce, start_map, start_reduce, task};

fn second_term(task: TaskId) -> TaskId {
    TaskId { attempt: Attempt { term: Term(2), counter: task.attempt.counter }, ..task }
}

#[test]
fn a_running_reduce_is_started_again_by_the_first_step() {
    let mut bench = Bench::new();
    bench.submit(vec![reduce("plan")]);
    bench.restore();
    let attempt = Attempt { term: Term(2), counter: 0 };
    assert_eq!(bench.step(Event::Tick), vec![start_reduce(0, attempt, vec![])]);
    assert_eq!(bench.step(Event::Tick), vec![]);
}

#[test]
fn only_uncommitted_shards_are_leased_again_and_the_old_term_is_stale() {
    let mut bench = Bench::with_workers(1);
    bench.outlined(vec![reduce("plan"), map("score")], 2);
    bench.commit(0, task(1, 0, 0));
    bench.restore();
    assert_eq!(bench.join(0), vec![start_map(0, second_term(task(1, 1, 0)), vec![])]);
    assert_eq!(bench.commit(0, task(1, 1, 0)), vec![acknowledge(0, task(1, 1, 0), CommitOutcome::Stale)]);
    let again = bench.commit(0, task(1, 0, 0));
    assert_eq!(again, vec![acknowledge(0, task(1, 0, 0), CommitOutcome::Applied)], "it is stored");
}

#[test]
fn records_that_do_not_fit_are_refused() {
    let mut bench = Bench::with_workers(1);
    bench.outlined(vec![reduce("plan"), map("score")], 2);
    bench.commit(0, task(1, 0, 0));
    let [whole, first, second, segment]: [Record; 4] = bench.engine.durable().try_into().expect("is four records");
    let ahead = changed(&first, |record| record.state = PhaseState::Running);
    let placed = |at: u32, shard: u32| match segment.clone() {
        Record::Segment(id, phase, _, mut record) => {
            record.entries[0].0 = ShardId(shard);
            Record::Segment(id, phase, at, record)
        }
        other => panic!("{other:?}"),
    };
    let inheriting = match whole.clone() {
        Record::Audit(id, mut record) => {
            record.inherited = vec![named("gone")];
            Record::Audit(id, record)
        }
        other => panic!("{other:?}"),
    };
    let (phase, audit) = (PhaseIndex(1), audit());
    let stray = |at, shard| RestoreError::Segment { audit: audit.clone(), phase, segment: at, shard: ShardId(shard) };
    let with = |records: &[&Record]| -> Vec<Record> {
        [&whole, &first, &second].into_iter().chain(records.iter().copied()).cloned().collect()
    };
    let table = [
        (vec![segment.clone()], RestoreError::Orphan { key: segment.key() }),
        (vec![first.clone()], RestoreError::Orphan { key: first.key() }),
        (vec![whole.clone(), first.clone()], RestoreError::Phases { audit: audit.clone(), found: 1, expected: 2 }),
        (vec![whole.clone(), ahead, second.clone()], RestoreError::OutOfOrder { audit: audit.clone(), phase }),
        (with(&[&segment, &placed(1, 0)]), stray(1, 0)),
        (with(&[&placed(0, 2)]), stray(0, 2)),
        (
            vec![inheriting, first.clone(), second.clone()],
            RestoreError::Inherited { audit: audit.clone(), of: named("gone") },
        ),
    ];
    for (records, expected) in table {
        assert_eq!(Engine::restore(Term(2), bench.knobs.clone(), records).err(), Some(expected));
    }
    assert!(Engine::restore(Term(2), bench.knobs.clone(), with(&[&segment])).is_ok(), "the untouched ones fit");
}

fn changed(record: &Record, change: impl FnOnce(&mut PhaseRecord)) -> Record {
    match record.clone() {
        Record::Phase(id, phase, mut record) => {
            change(&mut record);
            Record::Phase(id, phase, record)
        }
        other => panic!("{other:?}"),
    }
}
