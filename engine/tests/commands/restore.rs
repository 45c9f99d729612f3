//! A new leader: the same durable state, no leases, everything running begun again.

use lethe_common::ids::{Attempt, PhaseIndex, TaskId, Term};
use lethe_engine::{Command, CommitOutcome, Engine, Event, PhaseState, Record, RestoreError};
use proptest::prelude::{prop, prop_assert_eq, proptest};

use crate::bench::{Bench, acknowledge, audit, map, reduce, start_map, start_reduce, task};

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
    let [whole, first, second, page]: [Record; 4] = bench.engine.durable().try_into().expect("is four records");
    let ahead = match first.clone() {
        Record::Phase(id, phase, mut record) => {
            record.state = PhaseState::Running;
            Record::Phase(id, phase, record)
        }
        other => panic!("{other:?}"),
    };
    let strayed = match page.clone() {
        Record::Page(id, phase, _, record) => Record::Page(id, phase, 3, record),
        other => panic!("{other:?}"),
    };
    let (phase, audit) = (PhaseIndex(1), audit());
    let table = [
        (vec![page.clone()], RestoreError::Orphan { key: page.key() }),
        (vec![whole.clone(), first.clone()], RestoreError::Phases { audit: audit.clone(), found: 1, expected: 2 }),
        (vec![whole.clone(), ahead, second.clone()], RestoreError::OutOfOrder { audit: audit.clone(), phase }),
        (vec![whole, first, second, strayed], RestoreError::Page { audit, phase, page: 3 }),
    ];
    for (records, expected) in table {
        assert_eq!(Engine::restore(Term(2), bench.knobs.clone(), records).err(), Some(expected));
    }
}

proptest! {
    /// Whatever happens to a map: what was persisted, batch upon batch, rebuilds the engine.
    #[test]
    fn persisted_batches_add_up_to_the_durable_state(story in prop::collection::vec((0u32..5, 0u32..3, 0u32..4, 0u64..3), 0..60)) {
        let mut bench = Bench::new();
        let mut store = std::collections::BTreeMap::new();
        let mut keep = |commands: Vec<Command>| {
            for command in commands {
                if let Command::Persist(batch) = command {
                    store.extend(batch.into_iter().map(|record| (record.key(), record)));
                }
            }
        };
        keep(bench.submit(vec![reduce("plan"), map("score"), reduce("report")]));
        let outline = lethe_engine::Outline { shards: 4, ..Default::default() };
        keep(bench.reduce_done(0, 0, Some(outline)));
        for (what, who, shard, counter) in story {
            keep(match what {
                0 => bench.join(who),
                1 => bench.lose(who),
                2 => bench.commit(who, task(1, shard, counter)),
                3 => bench.fail(who, task(1, shard, counter), lethe_common::fault::Fault::retryable("any")),
                _ => bench.tick_after(100),
            });
        }
        let stored: Vec<Record> = store.values().cloned().collect();
        let mut durable = bench.engine.durable();
        durable.sort_by_key(Record::key);
        prop_assert_eq!(&durable, &stored);
        let rebuilt = Engine::restore(Term(2), bench.knobs.clone(), stored).expect("fits together");
        prop_assert_eq!(rebuilt.durable(), bench.engine.durable());
    }
}
