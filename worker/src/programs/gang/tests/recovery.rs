//! Whole trainings: the weights after the last step, whatever the world size and whoever was lost on the way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lethe_common::fault::{Fault, FaultKind};
use lethe_common::ids::Generation;
use lethe_common::spec::{GangSection, Precision};

use lethe_collective::{CollectiveError, Faulty, Injection, Mischief};

use super::bench::{Material, Seat, in_folder, ranks, section, with_context};
use super::slip::{Kind, Slip, Slipping};
use crate::programs::gang::training::{self, Prepared};
use crate::task::{Announce, Checkpoint, GangContext, GangMemory, TaskContext};

const STEPS: u64 = 200;
/// Of weights about 1 after 200 steps.
const TOLERANCE: f64 = 1e-8;

/// How a training goes.
#[derive(Debug, Clone, Copy)]
struct Course {
    objective: &'static str,
    steps: u64,
    is_sharded: bool,
}

const UNLEARN: Course = Course { objective: "unlearn", steps: STEPS, is_sharded: false };
const SHARDED: Course = Course { is_sharded: true, ..UNLEARN };

impl Course {
    fn material(self, slip: Option<Slip>) -> training::Material<Slipping> {
        Material::new().training(self.objective, slip)
    }
}

fn context<'a>(seat: Seat, generation: u64) -> GangContext<'a> {
    failing(seat, generation, Vec::new())
}

/// The same with failures that are planned.
fn failing<'a>(seat: Seat, generation: u64, planned: Vec<Injection>) -> GangContext<'a> {
    GangContext {
        rank: seat.rank,
        world_size: seat.world_size,
        generation: Generation(generation),
        timeout: Duration::from_secs(60),
        connect: Some(Box::new(move || Ok(Box::new(Faulty::new(seat.connect()?, planned))))),
        checkpoint: None,
        announce: Arc::new(|_, _| {}),
        tell: Arc::new(|_| {}),
    }
}

/// What one rank does in one generation: the weights, where it came to the end.
fn generation(
    course: Course,
    seat: Seat,
    number: u64,
    prepare: impl FnOnce() -> training::Material<Slipping>,
    memory: &mut GangMemory,
) -> Result<Vec<f64>, Fault> {
    with_context(|ctx| trained(course, ctx, context(seat, number), prepare, memory))
}

fn trained(
    course: Course,
    ctx: &TaskContext<'_>,
    gang: GangContext<'_>,
    prepare: impl FnOnce() -> training::Material<Slipping>,
    memory: &mut GangMemory,
) -> Result<Vec<f64>, Fault> {
    let Course { steps, is_sharded, .. } = course;
    let section = GangSection { checkpoint_seconds: 0, shard_optimizer: is_sharded, ..section(steps, None) };
    let prepare = || Ok(Prepared::Training(Box::new(prepare())));
    let trained = training::run(&section, prepare, ctx, gang, memory)?;
    Ok(Vec::<f64>::try_from(&trained.clip.flat()).expect("is a vector"))
}

/// Every rank ends with the same weights, which these are.
fn agreed(mut all: Vec<Vec<f64>>) -> Vec<f64> {
    let first = all.swap_remove(0);
    assert!(all.iter().all(|other| *other == first), "the ranks end with different weights");
    first
}

fn undisturbed(course: Course, world_size: u32) -> Vec<f64> {
    agreed(ranks(world_size, |seat| {
        generation(course, seat, 1, || course.material(None), &mut GangMemory::default()).expect("trains")
    }))
}

fn furthest(have: &[f64], want: &[f64]) -> f64 {
    have.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// A call that fails on a rank.
#[derive(Debug, Clone, Copy)]
struct Planned {
    rank: u32,
    step: u64,
    call: u64,
    /// It succeeds on the peers, as where this rank is cut off at its end.
    is_late: bool,
}

impl Planned {
    fn injection(self) -> Injection {
        let Self { rank, step, call, is_late } = self;
        let error = CollectiveError::PeerLost { operation: "a call", detail: "this rank is lost".to_owned() };
        let mischief = if is_late { Mischief::Late(error) } else { Mischief::Error(error) };
        Injection { rank, step, call, mischief }
    }
}

fn fails(rank: u32, step: u64, call: u64) -> Planned {
    Planned { rank, step, call, is_late: false }
}

fn fails_late(rank: u32, step: u64, call: u64) -> Planned {
    Planned { is_late: true, ..fails(rank, step, call) }
}

/// A generation that fails, and what becomes of its ranks.
struct Failure<'a> {
    /// Who is lost with all it had.
    lost: &'a [u32],
    planned: Vec<Planned>,
    /// Of every rank that is lost.
    slip: Option<Slip>,
}

fn loses<'a>(lost: &'a [u32], planned: impl IntoIterator<Item = Planned>) -> Failure<'a> {
    Failure { lost, planned: planned.into_iter().collect(), slip: None }
}

/// Generation after generation fails, and one of `then` ranks ends well. A survivor must not begin anew, unless `anew`.
fn play(course: Course, (world_size, then): (u32, u32), failures: &[Failure<'_>], anew: bool) -> Vec<f64> {
    let mut memories: Vec<Mutex<Kept>> = (0..world_size).map(|_| Mutex::new(Kept(GangMemory::default()))).collect();
    let mut newcomers: Vec<bool> = vec![true; world_size as usize];
    let enter = |seat: &Seat, newcomers: &[bool], slip: Option<Slip>| {
        let (rank, is_new) = (seat.rank, newcomers[seat.rank as usize]);
        move || {
            assert!(is_new || anew, "rank {rank} began anew");
            course.material(slip)
        }
    };
    for (failure, number) in failures.iter().zip(1..) {
        let ended = ranks(world_size, |seat| {
            let rank = seat.rank;
            let slip = failure.slip.clone().filter(|_| failure.lost.contains(&rank));
            let prepare = enter(&seat, &newcomers, slip);
            let planned = failure.planned.iter().map(|planned| planned.injection()).collect();
            let gang = failing(seat, number, planned);
            let mut memory = memories[rank as usize].lock().expect("is free");
            let ended = with_context(|ctx| trained(course, ctx, gang, prepare, &mut memory.0));
            ended.expect_err("the generation is lost");
            failure.lost.contains(&rank)
        });
        for (rank, is_lost) in ended.into_iter().enumerate() {
            newcomers[rank] = is_lost;
            if is_lost {
                memories[rank] = Mutex::new(Kept(GangMemory::default()));
            }
        }
    }
    if then < world_size {
        let mut stays = newcomers.iter().map(|is_new| !is_new);
        memories.retain(|_| stays.next() == Some(true));
        newcomers = vec![false; memories.len()];
    }
    agreed(ranks(then, |seat| {
        let prepare = enter(&seat, &newcomers, None);
        let mut memory = memories[seat.rank as usize].lock().expect("is free");
        generation(course, seat, 100, prepare, &mut memory.0).expect("trains on")
    }))
}

/// Rank 1 is lost as it computes a step.
fn lost_in_step(step: u64) -> Vec<f64> {
    let slip = Slip { kind: Kind::Lost, step, fired: Arc::new(AtomicBool::new(false)) };
    let failure = Failure { lost: &[1], planned: Vec::new(), slip: Some(slip.clone()) };
    let weights = play(UNLEARN, (2, 2), &[failure], false);
    assert!(slip.fired.load(Ordering::SeqCst), "nobody was lost");
    weights
}

const SHORT: u64 = 12;
const MIDDLE: u64 = SHORT / 2;
/// The features, the slopes, the gradient, the vote; and the weights where the optimiser is sharded.
const CALLS: u64 = 4;

/// Trains until every rank is lost with all it had, and then on another number of ranks from what was kept.
fn after_the_loss_of_all(course: Course, (before, after): (u32, u32), spoil: bool) -> Vec<f64> {
    let folder = tempfile::tempdir().expect("a folder");
    let kept: Arc<Mutex<Option<Checkpoint>>> = Arc::default();
    let slip = Slip { kind: Kind::Lost, step: 50, fired: Arc::new(AtomicBool::new(false)) };
    ranks(before, |seat| {
        let slip = (seat.rank == 0).then(|| slip.clone());
        let told = Arc::clone(&kept);
        let announce: Announce =
            Arc::new(move |step, blob| *told.lock().expect("is free") = Some(Checkpoint { step, blob }));
        let gang = GangContext { announce, ..context(seat, 1) };
        let prepare = || course.material(slip);
        in_folder(folder.path(), |ctx| trained(course, ctx, gang, prepare, &mut GangMemory::default()))
            .expect_err("is lost");
    });
    let checkpoint = kept.lock().expect("is free").clone().expect("a checkpoint was kept");
    assert!((1..=50).contains(&checkpoint.step), "{checkpoint:?}");
    if spoil {
        let path = folder.path().join(&checkpoint.blob.path);
        let mut bytes = std::fs::read(&path).expect("is there");
        bytes[0] ^= 1;
        std::fs::write(&path, bytes).expect("writes");
    }
    agreed(ranks(after, |seat| {
        let gang = GangContext { checkpoint: Some(checkpoint.clone()), ..context(seat, 2) };
        let prepare = || course.material(None);
        in_folder(folder.path(), |ctx| trained(course, ctx, gang, prepare, &mut GangMemory::default()))
            .expect("trains on")
    }))
}

#[test]
fn a_gang_that_lost_all_ranks_goes_on_from_its_checkpoint() {
    let want = undisturbed(UNLEARN, 2);
    assert!(after_the_loss_of_all(UNLEARN, (2, 2), false) == want, "the same size gives the same bits");
    for course in [UNLEARN, SHARDED] {
        let far = furthest(&after_the_loss_of_all(course, (2, 3), false), &want);
        assert!(far <= TOLERANCE, "three ranks go on from two, {course:?}: {far:e}");
    }
}

#[test]
fn a_checkpoint_that_is_damaged_is_left_alone() {
    assert!(after_the_loss_of_all(UNLEARN, (2, 2), true) == undisturbed(UNLEARN, 2), "it trained anew");
}

/// A rank's memory on its way to another thread, which stands for the same process.
struct Kept(GangMemory);

// SAFETY: the memory holds tensors and plain numbers; the thread that made it has ended, so nobody else has them.
unsafe impl Send for Kept {}

#[test]
fn two_and_four_ranks_train_to_the_weights_of_one() {
    let one = undisturbed(UNLEARN, 1);
    for (course, world_size) in [(UNLEARN, 2), (UNLEARN, 4), (SHARDED, 1), (SHARDED, 2), (SHARDED, 4)] {
        let far = furthest(&undisturbed(course, world_size), &one);
        println!("{world_size} ranks, {course:?}: {far:e} off one");
        assert!(far <= TOLERANCE, "{world_size} ranks, {course:?}: {far:e}");
    }
}

#[test]
fn a_rank_lost_and_replaced_changes_no_bit() {
    let want = undisturbed(UNLEARN, 2);
    for lost_at in [3, 50, 199] {
        assert!(lost_in_step(lost_at) == want, "lost at step {lost_at}");
    }
}

#[test]
fn a_rank_lost_in_any_call_of_a_step_changes_no_bit() {
    for (is_sharded, calls) in [(false, CALLS), (true, CALLS + 1)] {
        let course = Course { steps: SHORT, is_sharded, ..UNLEARN };
        let want = undisturbed(course, 3);
        for call in 1..=calls {
            for planned in [fails(1, MIDDLE, call), fails_late(1, MIDDLE, call)] {
                let what = format!("{planned:?}, {course:?}");
                let have = play(course, (3, 3), &[loses(&[1], [planned])], false);
                assert!(have == want, "{what}: {:e}", furthest(&have, &want));
            }
        }
    }
}

/// Rank 1 is lost and rank 2 cut off at the end of a call, so that only rank 0 comes through.
#[test]
fn survivors_that_are_a_step_apart_meet_and_no_bit_changes() {
    for is_sharded in [false, true] {
        let course = Course { steps: SHORT, is_sharded, ..UNLEARN };
        let want = undisturbed(course, 3);
        for call in CALLS..=CALLS + u64::from(is_sharded) {
            let planned = [1, 2].map(|rank| fails_late(rank, MIDDLE, call));
            let have = play(course, (3, 3), &[loses(&[1], planned)], false);
            assert!(have == want, "call {call}, {course:?}: {:e}", furthest(&have, &want));
        }
    }
}

/// The next generation fails too, in each of the calls by which the ranks agree.
#[test]
fn a_second_loss_while_the_ranks_agree_changes_no_bit() {
    let course = Course { steps: SHORT, ..SHARDED };
    let want = undisturbed(course, 3);
    for call in [2, 3, 6, 11, 12, 13] {
        let first = loses(&[1], [fails(1, MIDDLE, CALLS + 1)]);
        let have = play(course, (3, 3), &[first, loses(&[1], [fails(0, 0, call)])], false);
        assert!(have == want, "call {call}: {:e}", furthest(&have, &want));
    }
}

/// All vote to skip a step; one rank is told, one is cut off, and one is lost.
#[test]
fn a_step_that_was_skipped_takes_no_state_along() {
    let course = Course { steps: SHORT, objective: "train", ..SHARDED };
    let spoilt = Slip { kind: Kind::Spoilt, step: MIDDLE - 1, fired: Arc::new(AtomicBool::new(false)) };
    let planned = [1, 2].map(|rank| fails_late(rank, MIDDLE, CALLS));
    let failure = Failure { slip: Some(spoilt), ..loses(&[1], planned) };
    // The step is taken again, by ranks whose features are numbers.
    assert!(play(course, (3, 3), &[failure], false) == undisturbed(course, 3));
}

#[test]
fn what_a_lost_rank_updated_is_with_its_neighbour() {
    let course = Course { steps: SHORT, ..SHARDED };
    let want = undisturbed(course, 3);
    for (lost, call) in [(0, CALLS), (1, CALLS + 1), (2, CALLS + 1)] {
        let have = play(course, (3, 2), &[loses(&[lost], [fails(lost, MIDDLE, call)])], false);
        let far = furthest(&have, &want);
        assert!(far <= TOLERANCE, "rank {lost} lost for good: {far:e}");
    }
}

#[test]
fn two_neighbours_lost_at_once_begin_the_training_anew() {
    let course = Course { steps: SHORT, ..SHARDED };
    let both = || loses(&[1, 2], [1, 2].map(|rank| fails(rank, MIDDLE, 1)));
    assert!(play(course, (4, 4), &[both()], true) == undisturbed(course, 4));
}

#[test]
fn a_gradient_that_is_no_number_is_skipped_by_all() {
    let slip = Slip { kind: Kind::Spoilt, step: 7, fired: Arc::new(AtomicBool::new(false)) };
    let course = Course { objective: "train", ..UNLEARN };
    let weights = agreed(ranks(3, |seat| {
        let slip = (seat.rank == 2).then(|| slip.clone());
        generation(course, seat, 1, || course.material(slip), &mut GangMemory::default()).expect("goes on")
    }));
    assert!(slip.fired.load(Ordering::SeqCst));
    assert!(weights.iter().all(|weight| weight.is_finite()), "a step that is no number was applied");
}

#[test]
fn bf16_on_a_cpu_is_refused_before_anything_is_read() {
    let section = GangSection { precision: Precision::Bf16, ..section(SHORT, None) };
    let refused = ranks(1, |seat| {
        let prepare = || -> Result<Prepared<Slipping>, Fault> { panic!("it was asked for data") };
        let run = |ctx: &TaskContext<'_>| {
            training::run(&section, prepare, ctx, context(seat, 1), &mut GangMemory::default()).map(drop)
        };
        with_context(run).expect_err("is refused")
    });
    assert_eq!(refused[0].kind, FaultKind::Fatal);
    let line = &refused[0].message;
    assert!(line.contains("needs CUDA") && line.contains("--device cuda") && !line.contains('\n'), "{line}");
}

#[test]
fn ranks_with_different_models_are_refused_by_name() {
    let faults = ranks(2, |seat| {
        let rank = seat.rank;
        let prepare = || {
            let material = Material::new();
            let moved = material.moved();
            let training = material.training("train", None);
            let start = if rank == 0 { training.start } else { moved };
            training::Material { start, ..training }
        };
        generation(UNLEARN, seat, 1, prepare, &mut GangMemory::default()).expect_err("is refused")
    });
    for fault in faults {
        assert_eq!(fault.kind, FaultKind::Fatal);
        assert!(fault.message.contains("other weights or another recipe"), "{fault}");
    }
}
