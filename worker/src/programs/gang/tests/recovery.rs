//! Whole trainings: the weights after the last step, whatever the world size and whoever was lost on the way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lethe_common::fault::{Fault, FaultKind};
use lethe_common::ids::Generation;

use super::bench::{Material, Seat, ranks, section, with_context};
use super::slip::{Kind, Slip, Slipping};
use crate::programs::gang::training::{self, Prepared};
use crate::task::{GangContext, GangMemory};

const STEPS: u64 = 200;
/// Of weights about 1 after 200 steps.
const TOLERANCE: f64 = 1e-8;

fn context<'a>(seat: Seat, generation: u64) -> GangContext<'a> {
    GangContext {
        rank: seat.rank,
        world_size: seat.world_size,
        generation: Generation(generation),
        timeout: Duration::from_secs(60),
        connect: Box::new(move || seat.connect()),
    }
}

/// What one rank does in one generation: the weights, where it came to the end.
fn generation(
    seat: Seat,
    number: u64,
    prepare: impl FnOnce() -> training::Material<Slipping>,
    memory: &mut GangMemory,
) -> Result<Vec<f64>, Fault> {
    let section = section(STEPS, None);
    with_context(|ctx| {
        let prepare = || Ok(Prepared::Training(Box::new(prepare())));
        let trained = training::run(&section, prepare, ctx, context(seat, number), memory)?;
        Ok(Vec::<f64>::try_from(&trained.clip.flat()).expect("is a vector"))
    })
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
