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

/// Ranks are lost with all they had; newcomers take their places in a second generation, of `then` ranks.
fn with_a_loss(
    course: Course,
    (world_size, then): (u32, u32),
    lost: &[u32],
    planned: impl Fn(u32) -> (Vec<Injection>, Option<Slip>) + Sync,
) -> Vec<f64> {
    let memories: Vec<Mutex<Kept>> = ranks(world_size, |seat| {
        let is_lost = lost.contains(&seat.rank);
        let (failures, slip) = if is_lost { planned(seat.rank) } else { (Vec::new(), None) };
        let mut memory = GangMemory::default();
        let gang = failing(seat, 1, failures);
        let lost = with_context(|ctx| trained(course, ctx, gang, || course.material(slip), &mut memory));
        lost.expect_err("the generation is lost");
        Mutex::new(Kept(if is_lost { GangMemory::default() } else { memory }))
    });
    // Newcomers come last where the group shrinks, so that the survivors change their ranks.
    let survivors: Vec<usize> = (0..memories.len()).filter(|rank| !lost.contains(&(*rank as u32))).collect();
    let held = |rank: u32| match then == world_size {
        true => Some(rank as usize),
        false => survivors.get(rank as usize).copied(),
    };
    agreed(ranks(then, |seat| {
        let held = held(seat.rank).map(|rank| &memories[rank]);
        let mut kept = held.map(|kept| kept.lock().expect("is free"));
        let mut none = GangMemory::default();
        let memory = kept.as_mut().map_or(&mut none, |kept| &mut kept.0);
        generation(course, seat, 2, || course.material(None), memory).expect("trains on")
    }))
}

/// Rank 1 is lost as it computes a step.
fn lost_in_step(step: u64) -> Vec<f64> {
    let slip = Slip { kind: Kind::Lost, step, fired: Arc::new(AtomicBool::new(false)) };
    let weights = with_a_loss(UNLEARN, (2, 2), &[1], |_| (Vec::new(), Some(slip.clone())));
    assert!(slip.fired.load(Ordering::SeqCst), "nobody was lost");
    weights
}

/// A rank's call fails at the middle of a short training, whichever call that is.
fn lost_in_call(rank: u32, call: u64) -> Vec<Injection> {
    let detail = "this rank is lost".to_owned();
    let error = CollectiveError::PeerLost { operation: "a call", detail };
    vec![Injection { rank, step: SHORT / 2, call, mischief: Mischief::Error(error) }]
}

const SHORT: u64 = 12;
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
            let have = with_a_loss(course, (3, 3), &[1], |rank| (lost_in_call(rank, call), None));
            assert!(have == want, "lost in call {call}, {course:?}: {:e}", furthest(&have, &want));
        }
    }
}

#[test]
fn what_a_lost_rank_updated_is_with_its_neighbour() {
    let course = Course { steps: SHORT, ..SHARDED };
    let want = undisturbed(course, 3);
    for (lost, call) in [(0, CALLS), (1, CALLS + 1), (2, CALLS + 1)] {
        let have = with_a_loss(course, (3, 2), &[lost], |rank| (lost_in_call(rank, call), None));
        let far = furthest(&have, &want);
        assert!(far <= TOLERANCE, "rank {lost} lost for good: {far:e}");
    }
}

#[test]
fn two_neighbours_lost_at_once_begin_the_training_anew() {
    let course = Course { steps: SHORT, ..SHARDED };
    let have = with_a_loss(course, (4, 4), &[1, 2], |rank| (lost_in_call(rank, 1), None));
    assert!(have == undisturbed(course, 4));
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
