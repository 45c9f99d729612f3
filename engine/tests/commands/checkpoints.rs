//! Checkpoints of gangs: of the current generation's leading rank, forward only, and forgotten at the end.

use lethe_common::fault::Fault;
use lethe_common::ids::{Generation, TaskId};
use lethe_engine::{Command, CommitOutcome, GangCheckpoint, PhaseRecord, Tally};

use crate::bench::{Bench, checkpoint_of, elastic, gang, persist, phase_record, running, task, worker};

fn formed() -> Bench {
    let mut bench = Bench::with_workers(2);
    bench.submit(vec![gang("train", 2)]);
    bench
}

fn answer(index: u32, task: TaskId, step: u64, outcome: CommitOutcome) -> Command {
    Command::AcknowledgeCheckpoint { worker: worker(index), task, step, outcome, replaced: None }
}

/// The checkpoints that members are started with.
fn begins_with(commands: &[Command]) -> Vec<Option<GangCheckpoint>> {
    let starts = commands.iter().filter_map(|command| match command {
        Command::StartGangMember(start) => Some(start.checkpoint.clone()),
        _ => None,
    });
    starts.collect()
}

#[test]
fn a_newer_one_is_stored_and_its_repetition_is_answered_alike() {
    let mut bench = formed();
    let (rank, kept) = (task(0, 0, 0), checkpoint_of(&task(0, 0, 0), 20));
    let checkpoint = Some(kept.clone());
    let record = PhaseRecord { generation: Generation(1), checkpoint, furthest: 20, ..running() };
    let applied = answer(0, rank.clone(), 20, CommitOutcome::Applied);
    let stored = persist(vec![phase_record(0, record)]);
    assert_eq!(bench.checkpoint(0, rank.clone(), kept.clone()), vec![stored, applied.clone()]);
    assert_eq!(bench.checkpoint(0, rank, kept), vec![applied]);
}

#[test]
fn the_one_that_is_replaced_can_go() {
    let mut bench = formed();
    let (rank, first) = (task(0, 0, 0), checkpoint_of(&task(0, 0, 0), 20));
    bench.checkpoint(0, rank.clone(), first.clone());
    let replaced = |commands: &[Command]| match commands.last() {
        Some(Command::AcknowledgeCheckpoint { replaced, .. }) => replaced.clone(),
        other => panic!("{other:?} answers no checkpoint"),
    };
    let second = checkpoint_of(&rank, 40);
    assert_eq!(replaced(&bench.checkpoint(0, rank.clone(), second.clone())), Some(first.blob));
    assert_eq!(replaced(&bench.checkpoint(0, rank.clone(), second)), None, "asked again");
    let late = checkpoint_of(&rank, 30);
    assert_eq!(replaced(&bench.checkpoint(0, rank, late)), None, "nothing took its place");
}

#[test]
fn what_is_older_of_another_rank_or_elsewhere_changes_nothing() {
    let mut bench = formed();
    let rank = task(0, 0, 0);
    bench.checkpoint(0, rank.clone(), checkpoint_of(&rank, 20));
    let of = |step| checkpoint_of(&rank, step);
    let moved = |step: u64, path: &str| {
        let mut checkpoint = of(step);
        path.clone_into(&mut checkpoint.blob.path);
        checkpoint
    };
    let other = GangCheckpoint { step: 20, ..of(21) };
    let table = [
        (0, rank.clone(), of(19), CommitOutcome::Stale),
        (0, rank.clone(), other, CommitOutcome::Stale),
        (1, rank.clone(), of(21), CommitOutcome::Stale), // not its rank
        (1, task(0, 1, 0), checkpoint_of(&task(0, 1, 0), 21), CommitOutcome::Stale),
        (0, task(0, 0, 1), checkpoint_of(&task(0, 0, 1), 21), CommitOutcome::Stale), // no such attempt
        (0, rank.clone(), moved(21, "a/000/0000001/1.0/checkpoint-21"), CommitOutcome::Refused),
        (0, rank.clone(), moved(21, "../elsewhere"), CommitOutcome::Refused),
        (0, rank.clone(), moved(21, &of(20).blob.path), CommitOutcome::Refused), // it would overwrite what is kept
    ];
    for (index, task, checkpoint, outcome) in table {
        let expected = vec![answer(index, task.clone(), checkpoint.step, outcome)];
        assert_eq!(bench.checkpoint(index, task, checkpoint.clone()), expected, "{checkpoint:?}");
    }
}

#[test]
fn the_next_generation_begins_with_it_and_the_last_one_gives_none() {
    let mut bench = formed();
    let kept = checkpoint_of(&task(0, 0, 0), 20);
    bench.checkpoint(0, task(0, 0, 0), kept.clone());
    bench.fail(1, task(0, 1, 0), Fault::retryable("a peer did not answer"));
    let next = bench.fail(0, task(0, 0, 0), Fault::handed_back("aborted"));
    assert_eq!(begins_with(&next), [Some(kept.clone()), Some(kept)]);
    let late = bench.checkpoint(0, task(0, 0, 0), checkpoint_of(&task(0, 0, 0), 30));
    assert_eq!(late, vec![answer(0, task(0, 0, 0), 30, CommitOutcome::Stale)]);
    bench.checkpoint(0, task(0, 0, 1), checkpoint_of(&task(0, 0, 1), 21));
    assert_eq!(bench.phase(0).checkpoint.map(|c| c.step), Some(21));
}

/// Where no rank could read what was kept, they train anew.
#[test]
fn a_generation_keeps_what_it_has_though_an_earlier_one_was_further() {
    let mut bench = formed();
    bench.checkpoint(0, task(0, 0, 0), checkpoint_of(&task(0, 0, 0), 20));
    bench.fail(1, task(0, 1, 0), Fault::retryable("a peer did not answer"));
    bench.fail(0, task(0, 0, 0), Fault::handed_back("aborted"));
    for (step, kept, strikes) in [(10, 10, 1), (9, 10, 1), (11, 11, 1), (21, 21, 0)] {
        bench.checkpoint(0, task(0, 0, 1), checkpoint_of(&task(0, 0, 1), step));
        let phase = bench.phase(0);
        assert_eq!((phase.checkpoint.map(|c| c.step), phase.tally.strikes), (Some(kept), strikes), "step {step}");
    }
}

#[test]
fn a_new_leader_and_another_size_go_on_from_it() {
    let mut bench = Bench::with_workers(2);
    bench.submit(vec![elastic("train", 2, 1)]);
    let kept = checkpoint_of(&task(0, 0, 0), 20);
    bench.checkpoint(0, task(0, 0, 0), kept.clone());
    bench.restore();
    bench.join(1);
    let shrink_ms = bench.knobs.shrink_ms;
    assert_eq!(begins_with(&bench.tick_after(shrink_ms)), [Some(kept)]);
}

#[test]
fn only_the_last_one_counts_and_none_after_the_end() {
    let rank = task(0, 0, 0);
    let path = |step| checkpoint_of(&task(0, 0, 0), step).blob.path;
    let ends: [fn(&mut Bench); 3] = [
        |bench| drop(bench.commit(0, task(0, 0, 0))),
        |bench| drop(bench.fail(1, task(0, 1, 0), Fault::fatal("shapes differ"))),
        |bench| drop(bench.step(crate::bench::control(lethe_engine::Control::Cancel))),
    ];
    for end in ends {
        let mut bench = formed();
        bench.checkpoint(0, rank.clone(), checkpoint_of(&rank, 20));
        bench.checkpoint(0, rank.clone(), checkpoint_of(&rank, 40));
        assert!(!bench.engine.points_at(&path(20)) && bench.engine.points_at(&path(40)));
        end(&mut bench);
        assert_eq!((bench.phase(0).checkpoint, bench.engine.points_at(&path(40))), (None, false));
        let late = bench.checkpoint(0, rank.clone(), checkpoint_of(&rank, 60));
        assert_eq!(late, vec![answer(0, rank.clone(), 60, CommitOutcome::Stale)]);
    }
}

#[test]
fn it_is_a_sign_of_life() {
    let mut bench = formed();
    let lease_ms = bench.knobs.gang_lease_ms;
    bench.now = bench.now.plus_ms(lease_ms - 1);
    bench.step(lethe_engine::Event::TaskProgressed { worker: worker(1), task: task(0, 1, 0) });
    bench.checkpoint(0, task(0, 0, 0), checkpoint_of(&task(0, 0, 0), 20));
    assert_eq!(bench.tick_after(1), vec![]);
    assert_eq!(bench.phase(0).tally, Tally::default());
}
