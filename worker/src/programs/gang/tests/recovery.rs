//! Whole trainings: the weights after the last step, whatever the world size and whoever was lost on the way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lethe_common::fault::Fault;
use lethe_common::ids::Generation;
use lethe_model::Clip;
use lethe_model::error::{ModelError, Result as ModelResult};
use lethe_model::tch::Tensor;

use super::bench::{Material, Seat, ranks, section, with_context};
use crate::programs::gang::objective::{Batch, Features, Objective, Share};
use crate::programs::gang::training::Course;
use crate::task::{GangContext, GangMemory};

const STEPS: u64 = 200;
/// Of weights about 1 after 200 steps; the issue's own bound.
const TOLERANCE: f64 = 1e-8;

/// Fails once at a step, on the rank that has it.
struct Faulty<'a> {
    inner: Box<dyn Objective>,
    at: Option<u64>,
    fired: &'a AtomicBool,
    /// A gradient that is not a number, where it is not an error.
    spoils: bool,
}

impl Objective for Faulty<'_> {
    fn features(&self, clip: &Clip, step: u64, share: Share) -> ModelResult<Vec<Features>> {
        let fires = self.at == Some(step) && !self.fired.swap(true, Ordering::SeqCst);
        if fires && !self.spoils {
            return Err(ModelError::Torch("this rank is lost".to_owned()));
        }
        let mut features = self.inner.features(clip, step, share)?;
        if fires {
            features[0].local = features[0].local.f_mul_scalar(f64::NAN)?;
        }
        Ok(features)
    }

    fn loss(&self, step: u64, batch: &Batch<'_>, logit_scale: &Tensor) -> ModelResult<Tensor> {
        self.inner.loss(step, batch, logit_scale)
    }

    fn trains_logit_scale(&self) -> bool {
        self.inner.trains_logit_scale()
    }

    fn batch(&self) -> u64 {
        self.inner.batch()
    }
}

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
    (objective, start): (&dyn Objective, &Clip),
    memory: &mut GangMemory,
) -> Result<Vec<f64>, Fault> {
    let section = section(STEPS, None);
    with_context(|ctx| {
        let start = start.duplicate().expect("copies");
        let course = Course { section: &section, objective };
        let trained = course.run(start, ctx, context(seat, number), memory)?;
        Ok(Vec::<f64>::try_from(&trained.clip.flat()).expect("is a vector"))
    })
}

fn undisturbed(objective: &str, world_size: u32) -> Vec<f64> {
    let mut all = ranks(world_size, |seat| {
        let mut material = Material::new();
        let objective = material.objective(objective);
        generation(seat, 1, (&*objective, &material.start), &mut GangMemory::default()).expect("trains")
    });
    let first = all.swap_remove(0);
    assert!(all.iter().all(|other| *other == first), "the ranks end with different weights");
    first
}

fn furthest(have: &[f64], want: &[f64]) -> f64 {
    have.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Rank 1 is lost at a step with all it had; a newcomer takes its place in a second generation.
fn with_a_loss(world_size: u32, lost_at: u64) -> Vec<f64> {
    let fired = AtomicBool::new(false);
    let memories: Vec<_> = ranks(world_size, |seat| {
        let mut material = Material::new();
        let at = (seat.rank == 1).then_some(lost_at);
        let objective = Faulty { inner: material.objective("unlearn"), at, fired: &fired, spoils: false };
        let mut memory = GangMemory::default();
        let rank = seat.rank;
        generation(seat, 1, (&objective, &material.start), &mut memory).expect_err("the generation is lost");
        if rank == 1 { Kept(GangMemory::default()) } else { Kept(memory) }
    });
    assert!(fired.load(Ordering::SeqCst), "nobody was lost");
    let memories: Vec<std::sync::Mutex<Option<Kept>>> =
        memories.into_iter().map(|kept| std::sync::Mutex::new(Some(kept))).collect();
    let mut all = ranks(world_size, |seat| {
        let Kept(mut memory) = memories[seat.rank as usize].lock().expect("is free").take().expect("once");
        let mut material = Material::new();
        let objective = material.objective("unlearn");
        generation(seat, 2, (&*objective, &material.start), &mut memory).expect("trains on")
    });
    all.swap_remove(0)
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
    let fired = AtomicBool::new(false);
    let all = ranks(3, |seat| {
        let mut material = Material::new();
        let at = (seat.rank == 2).then_some(7);
        let objective = Faulty { inner: material.objective("train"), at, fired: &fired, spoils: true };
        generation(seat, 1, (&objective, &material.start), &mut GangMemory::default()).expect("goes on")
    });
    assert!(fired.load(Ordering::SeqCst));
    assert!(all.iter().all(|weights| *weights == all[0]), "the ranks end with different weights");
    assert!(all[0].iter().all(|weight| weight.is_finite()), "a step that is no number was applied");
}

#[test]
fn ranks_with_different_models_are_refused_by_name() {
    let messages = ranks(2, |seat| {
        let mut material = Material::new();
        let objective = material.objective("train");
        let start = if seat.rank == 0 { material.start.duplicate().expect("copies") } else { material.moved() };
        let fault = generation(seat, 1, (&*objective, &start), &mut GangMemory::default()).expect_err("is refused");
        (fault.kind, fault.message)
    });
    for (kind, message) in messages {
        assert_eq!(kind, lethe_common::fault::FaultKind::Fatal);
        assert!(message.contains("other weights or another recipe"), "{message}");
    }
}
