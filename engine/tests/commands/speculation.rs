//! The tail: second copies of slow shards for idle workers, of which the first commit wins.

use lethe_engine::{CommitOutcome, PhaseRecord, Tally};

use crate::bench::{
    Bench, abort, acknowledge, leased, map, persist, phase_record, reduce, running, segment_record, start_map, task,
};

fn tail() -> Bench {
    let mut bench = Bench::with_workers(3);
    bench.outlined(vec![reduce("plan"), map("score")], 3);
    bench.commit(1, task(1, 1, 0));
    bench
}

fn tallied(tally: Tally) -> PhaseRecord {
    PhaseRecord { tally, ..running() }
}

#[test]
fn an_idle_worker_gets_a_copy_of_the_slowest_and_the_first_commit_wins() {
    let mut bench = tail();
    assert_eq!(bench.tick_after(79), vec![], "too young to be slow");
    let speculated = Tally { speculated: 1, ..Tally::default() };
    let copied = vec![persist(vec![phase_record(1, tallied(speculated))]), start_map(1, task(1, 0, 1), vec![])];
    assert_eq!(bench.tick_after(1), copied);
    assert_eq!(bench.tick_after(1), vec![], "one copy is enough, and nobody is idle");
    let won = vec![
        persist(vec![segment_record(1, 0, &[task(1, 1, 0), task(1, 0, 1)])]),
        abort(0, task(1, 0, 0), "the shard has ended otherwise"),
        acknowledge(1, task(1, 0, 1), CommitOutcome::Applied),
    ];
    assert_eq!(bench.commit(1, task(1, 0, 1)), won);
    let late = Tally { late: 1, ..speculated };
    let too_late =
        vec![persist(vec![phase_record(1, tallied(late))]), acknowledge(0, task(1, 0, 0), CommitOutcome::Stale)];
    assert_eq!(bench.commit(0, task(1, 0, 0)), too_late);
    assert_eq!(bench.engine.dropped(), 1);
}

#[test]
fn the_first_may_still_win() {
    let mut bench = tail();
    bench.tick_after(80);
    let won = bench.commit(0, task(1, 0, 0));
    assert!(won.contains(&abort(1, task(1, 0, 1), "the shard has ended otherwise")), "{won:?}");
}

#[test]
fn nothing_is_copied_while_shards_wait_or_the_audit_is_paused() {
    let mut bench = Bench::with_workers(1);
    bench.outlined(vec![reduce("plan"), map("score")], 3);
    bench.commit(0, task(1, 0, 0));
    bench.drain(0);
    assert_eq!(leased(&bench.tick_after(200)), [], "nobody is idle");
    let mut bench = tail();
    bench.step(crate::bench::control(lethe_engine::Control::Pause));
    assert_eq!(leased(&bench.tick_after(200)), []);
}

#[test]
fn what_waits_behind_another_task_goes_to_a_worker_that_has_nothing() {
    let mut bench = Bench::new();
    (0..2).for_each(|i| drop(bench.join_as(i, "cpu", 2)));
    bench.outlined(vec![reduce("plan"), map("score")], 4);
    bench.commit(0, task(1, 0, 0));
    bench.commit(0, task(1, 2, 0));
    let why = "a worker that has nothing else takes it";
    let stolen = vec![abort(1, task(1, 3, 0), why), start_map(0, task(1, 3, 1), vec![])];
    assert_eq!(bench.tick_after(1), stolen);
    assert_eq!(bench.tick_after(1), vec![], "what runs is left where it runs");
    let acknowledged = acknowledge(1, task(1, 3, 0), CommitOutcome::Applied);
    assert!(bench.commit(1, task(1, 3, 0)).contains(&acknowledged), "had it begun after all, its result counts");
}
