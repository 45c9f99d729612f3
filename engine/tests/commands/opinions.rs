//! Second opinions: a checked shard counts once two workers of one kind agree.

use lethe_common::ids::TaskId;
use lethe_engine::{AuditState, Command, CommitOutcome, Fate, Options, Outline, Record, Tally};

use crate::bench::{Bench, acknowledge, leased, map, reduce, result, task};

fn checked(kinds: &[&str], shards: u32) -> Bench {
    let mut bench = Bench::new();
    kinds.iter().enumerate().for_each(|(i, kind)| drop(bench.join_as(i as u32, kind, 1)));
    let options = Options { check_ppm: 1_000_000, max_lost_ppm: 1_000_000, ..Options::default() };
    bench.submit_with("a", vec![reduce("plan"), map("score")], options);
    bench.reduce_done(0, 0, Some(Outline { shards, ..Outline::default() }));
    bench
}

fn fates(bench: &Bench) -> Vec<Fate> {
    let entries = bench.engine.durable().into_iter().flat_map(|record| match record {
        Record::Segment(_, _, _, segment) => segment.entries,
        Record::Audit(..) | Record::Phase(..) => vec![],
    });
    entries.map(|(_, fate)| fate).collect()
}

fn provisional(commands: &[Command], worker: u32, task: TaskId) -> bool {
    commands.contains(&acknowledge(worker, task, CommitOutcome::Provisional))
}

#[test]
fn a_second_worker_that_agrees_makes_the_first_result_count() {
    let mut bench = checked(&["cpu", "cpu"], 1);
    let first = bench.commit(0, task(1, 0, 0));
    assert!(provisional(&first, 0, task(1, 0, 0)), "{first:?}");
    assert_eq!((leased(&first), fates(&bench)), (vec![(1, 0)], vec![]), "nothing is stored yet");
    let second = bench.commit(1, task(1, 0, 1));
    assert!(provisional(&second, 1, task(1, 0, 1)), "{second:?}");
    assert_eq!(fates(&bench), [Fate::Done(result(&task(1, 0, 0)))]);
    assert_eq!(bench.phase(1).tally, Tally { checked: 1, ..Tally::default() });
    let again = bench.commit(0, task(1, 0, 0));
    assert_eq!(again, vec![acknowledge(0, task(1, 0, 0), CommitOutcome::Applied)], "it was the one that counted");
}

#[test]
fn blobs_that_wait_for_a_second_opinion_count() {
    let mut bench = checked(&["cpu", "cpu"], 1);
    let path = lethe_common::blob::attempt_path(&task(1, 0, 0), "out");
    assert!(!bench.engine.points_at(&path), "nothing was written yet");
    bench.commit(0, task(1, 0, 0));
    assert!(bench.engine.points_at(&path), "it would be swept, and may yet be the one that counts");
    assert!(!bench.engine.points_at(&lethe_common::blob::attempt_path(&task(1, 0, 1), "out")));
}

#[test]
fn one_worker_has_one_vote() {
    let mut bench = checked(&["cpu", "cpu"], 1);
    bench.commit(0, task(1, 0, 0));
    let again = bench.commit(0, task(1, 0, 0));
    assert_eq!(again, vec![acknowledge(0, task(1, 0, 0), CommitOutcome::Provisional)]);
    assert_eq!(fates(&bench), []);
}

#[test]
fn a_third_decides_and_the_odd_one_gets_no_more() {
    let mut bench = checked(&["cpu", "cpu", "cpu"], 2);
    assert_eq!(leased(&bench.lie(0, task(1, 0, 0))), [(2, 0)], "it has said what it thinks");
    assert_eq!(leased(&bench.commit(2, task(1, 0, 1))), [], "two that differ");
    assert_eq!(leased(&bench.commit(1, task(1, 1, 0))), [(0, 1), (1, 0)]);
    bench.commit(1, task(1, 0, 2));
    assert_eq!(fates(&bench), [Fate::Done(result(&task(1, 0, 1)))]);
    assert_eq!(bench.phase(1).tally, Tally { checked: 1, mismatched: 1, ..Tally::default() });
    let note = "shard 0: worker w0 gave another result than two others, and gets no more".to_owned();
    assert_eq!(bench.phase(1).notes, [note]);
    let distrusted = bench.commit(0, task(1, 1, 1));
    assert!(distrusted.contains(&acknowledge(0, task(1, 1, 1), CommitOutcome::Stale)), "{distrusted:?}");
    assert_eq!(leased(&distrusted), [(2, 1)], "another is asked");
}

#[test]
fn results_that_all_differ_are_none() {
    let mut bench = checked(&["cpu", "cpu", "cpu"], 1);
    bench.lie(0, task(1, 0, 0));
    bench.lie(1, task(1, 0, 1));
    bench.lie(2, task(1, 0, 2));
    let reason = "3 workers gave 3 different results".to_owned();
    assert_eq!(fates(&bench), [Fate::Quarantined { tries: 3, reason }]);
    let mut bench = checked(&["cpu", "cpu"], 1);
    bench.lie(0, task(1, 0, 0));
    bench.commit(1, task(1, 0, 1));
    let reason = "2 workers gave 2 different results".to_owned();
    assert_eq!(fates(&bench), [Fate::Quarantined { tries: 2, reason }], "and nobody is left to decide");
}

#[test]
fn where_nobody_else_can_be_asked_one_result_has_to_do() {
    let table: [&[&str]; 2] = [&["cpu"], &["cpu", "gpu"]];
    for kinds in table {
        let mut bench = checked(kinds, 1);
        bench.commit(0, task(1, 0, 0));
        assert_eq!(fates(&bench), [Fate::Done(result(&task(1, 0, 0)))], "{kinds:?}: kinds are not compared");
    }
    let mut bench = checked(&["cpu", "cpu"], 1);
    bench.commit(0, task(1, 0, 0));
    bench.lose(1);
    assert_eq!(fates(&bench), [Fate::Done(result(&task(1, 0, 0)))], "the second has left");
    assert!(matches!(bench.view().state, AuditState::Succeeded { .. }));
}

#[test]
fn the_first_ones_leaving_does_not_spare_the_second_opinion() {
    let mut bench = checked(&["cpu", "cpu"], 1);
    bench.commit(0, task(1, 0, 0));
    bench.lose(0);
    assert_eq!(fates(&bench), [], "its kind is remembered, and w1 is of it");
    bench.commit(1, task(1, 0, 1));
    assert_eq!(fates(&bench), [Fate::Done(result(&task(1, 0, 0)))]);
}

#[test]
fn an_audit_left_with_a_liar_fails_after_the_grace() {
    let mut bench = checked(&["cpu", "cpu", "cpu"], 4);
    assert_eq!(leased(&bench.lie(0, task(1, 0, 0))), [(0, 3)]);
    bench.commit(2, task(1, 2, 0));
    bench.commit(2, task(1, 0, 1));
    bench.commit(1, task(1, 1, 0));
    bench.commit(1, task(1, 0, 2));
    bench.lose(1);
    bench.lose(2);
    bench.commit(0, task(1, 3, 0));
    assert_eq!((fates(&bench).len(), bench.view().state), (3, AuditState::Running), "its word counts for nothing");
    bench.tick_after(bench.knobs.grace_ms);
    match bench.view().state {
        AuditState::Failed { reason, .. } => assert!(reason.contains("gave other results"), "{reason}"),
        state => panic!("{state:?}"),
    }
}
