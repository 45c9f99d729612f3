//! Whole trainings: the weights after the last step, whatever the world size and whoever was lost on the way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lethe_common::fault::{Fault, FaultKind};
use lethe_common::ids::Generation;
use lethe_common::spec::GangSection;

use super::bench::{Material, Seat, in_folder, ranks, section, with_context};
use super::slip::{Kind, Slip, Slipping};
use crate::programs::gang::training::{self, Prepared};
use crate::task::{Announce, Checkpoint, GangContext, GangMemory, TaskContext};

const STEPS: u64 = 200;
/// Of weights about 1 after 200 steps.
const TOLERANCE: f64 = 1e-8;

fn context<'a>(seat: Seat, generation: u64) -> GangContext<'a> {
    GangContext {
        rank: seat.rank,
        world_size: seat.world_size,
        generation: Generation(generation),
        timeout: Duration::from_secs(60),
        connect: Some(Box::new(move || seat.connect())),
        checkpoint: None,
        announce: Arc::new(|_, _| {}),
        tell: Arc::new(|_| {}),
    }
}

/// What one rank does in one generation: the weights, where it came to the end.
fn generation(
    seat: Seat,
    number: u64,
    prepare: impl FnOnce() -> training::Material<Slipping>,
    memory: &mut GangMemory,
) -> Result<Vec<f64>, Fault> {
    with_context(|ctx| trained(ctx, context(seat, number), prepare, memory))
}

fn trained(
    ctx: &TaskContext<'_>,
    gang: GangContext<'_>,
    prepare: impl FnOnce() -> training::Material<Slipping>,
    memory: &mut GangMemory,
) -> Result<Vec<f64>, Fault> {
    let section = GangSection { checkpoint_seconds: 0, ..section(STEPS, None) };
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

fn undisturbed(objective: &str, world_size: u32) -> Vec<f64> {
    agreed(ranks(world_size, |seat| {
        generation(seat, 1, || Material::new().training(objective, None), &mut GangMemory::default()).expect("trains")
    }))
}

fn furthest(have: &[f64], want: &[f64]) -> f64 {
    have.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Rank 1 is lost at a step with all it had; a newcomer takes its place in a second generation.
fn with_a_loss(world_size: u32, step: u64) -> Vec<f64> {
    let slip = Slip { kind: Kind::Lost, step, fired: Arc::new(AtomicBool::new(false)) };
    let memories: Vec<Mutex<Kept>> = ranks(world_size, |seat| {
        let rank = seat.rank;
        let slip = (rank == 1).then(|| slip.clone());
        let mut memory = GangMemory::default();
        let prepare = || Material::new().training("unlearn", slip);
        generation(seat, 1, prepare, &mut memory).expect_err("the generation is lost");
        Mutex::new(Kept(if rank == 1 { GangMemory::default() } else { memory }))
    });
    assert!(slip.fired.load(Ordering::SeqCst), "nobody was lost");
    agreed(ranks(world_size, |seat| {
        let mut kept = memories[seat.rank as usize].lock().expect("is free");
        let newcomer = seat.rank == 1;
        let prepare = || {
            assert!(newcomer, "a survivor read its inputs again");
            Material::new().training("unlearn", None)
        };
        generation(seat, 2, prepare, &mut kept.0).expect("trains on")
    }))
}

/// Trains until every rank is lost with all it had, and then on another number of ranks from what was kept.
fn after_the_loss_of_all((before, after): (u32, u32), spoil: bool) -> Vec<f64> {
    let folder = tempfile::tempdir().expect("a folder");
    let kept: Arc<Mutex<Option<Checkpoint>>> = Arc::default();
    let slip = Slip { kind: Kind::Lost, step: 50, fired: Arc::new(AtomicBool::new(false)) };
    ranks(before, |seat| {
        let slip = (seat.rank == 0).then(|| slip.clone());
        let told = Arc::clone(&kept);
        let announce: Announce =
            Arc::new(move |step, blob| *told.lock().expect("is free") = Some(Checkpoint { step, blob }));
        let gang = GangContext { announce, ..context(seat, 1) };
        let prepare = || Material::new().training("unlearn", slip);
        in_folder(folder.path(), |ctx| trained(ctx, gang, prepare, &mut GangMemory::default())).expect_err("is lost");
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
        let prepare = || Material::new().training("unlearn", None);
        in_folder(folder.path(), |ctx| trained(ctx, gang, prepare, &mut GangMemory::default())).expect("trains on")
    }))
}

#[test]
fn a_gang_that_lost_all_ranks_goes_on_from_its_checkpoint() {
    let want = undisturbed("unlearn", 2);
    assert!(after_the_loss_of_all((2, 2), false) == want, "the same size gives the same bits");
    let far = furthest(&after_the_loss_of_all((2, 3), false), &want);
    assert!(far <= TOLERANCE, "three ranks go on from two: {far:e}");
}

#[test]
fn a_checkpoint_that_is_damaged_is_left_alone() {
    assert!(after_the_loss_of_all((2, 2), true) == undisturbed("unlearn", 2), "it trained anew");
}

/// A rank's memory on its way to another thread, which stands for the same process.
struct Kept(GangMemory);

// SAFETY: the memory holds tensors and plain numbers; the thread that made it has ended, so nobody else has them.
unsafe impl Send for Kept {}

#[test]
fn two_and_four_ranks_train_to_the_weights_of_one() {
    let one = undisturbed("unlearn", 1);
    for world_size in [2, 4] {
        let far = furthest(&undisturbed("unlearn", world_size), &one);
        println!("{world_size} ranks: {far:e} off one");
        assert!(far <= TOLERANCE, "{world_size} ranks: {far:e}");
    }
}

#[test]
fn a_rank_lost_and_replaced_changes_no_bit() {
    let want = undisturbed("unlearn", 2);
    for lost_at in [3, 50, 199] {
        assert!(with_a_loss(2, lost_at) == want, "lost at step {lost_at}");
    }
}

#[test]
fn a_gradient_that_is_no_number_is_skipped_by_all() {
    let slip = Slip { kind: Kind::Spoilt, step: 7, fired: Arc::new(AtomicBool::new(false)) };
    let weights = agreed(ranks(3, |seat| {
        let slip = (seat.rank == 2).then(|| slip.clone());
        let prepare = || Material::new().training("train", slip);
        generation(seat, 1, prepare, &mut GangMemory::default()).expect("goes on")
    }));
    assert!(slip.fired.load(Ordering::SeqCst));
    assert!(weights.iter().all(|weight| weight.is_finite()), "a step that is no number was applied");
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
        generation(seat, 1, prepare, &mut GangMemory::default()).expect_err("is refused")
    });
    for fault in faults {
        assert_eq!(fault.kind, FaultKind::Fatal);
        assert!(fault.message.contains("other weights or another recipe"), "{fault}");
    }
}
