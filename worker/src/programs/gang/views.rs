//! What fine-tuning remedies do to pictures: AutoAugment for CleanCLIP; noise and a small erased square for PAR.
//!
//! What is done to a picture is a function of (seed, stream, step, row of the data) alone. It must never depend on rank, on
//! the batch around it, or on libtorch's generator.

use lethe_model::Normalization;
use lethe_model::augment::{self, Operation, POLICIES, Square, policy};
use lethe_model::error::Result;
use lethe_model::pixels::normalized;
use lethe_model::tch::Tensor;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::sampler::{Stream, below, unit};

/// A step's rows of the data, in the order of a tensor's rows.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    pub step: u64,
    pub rows: &'a [i64],
}

impl Rows<'_> {
    fn each<'a>(&'a self, draws: Stream) -> impl Iterator<Item = ChaCha8Rng> + 'a {
        self.rows.iter().map(move |row| draws.of_row(self.step, *row))
    }
}

/// Pictures of bytes `[rows, S, S, 3]` after one of AutoAugment's policies each.
pub fn auto_augmented(images: &Tensor, rows: Rows<'_>, draws: Stream) -> Result<Tensor> {
    let operations: Vec<Vec<Operation>> = rows.each(draws).map(|mut rng| drawn_policy(&mut rng)).collect();
    augment::apply(images, &operations)
}

/// As many draws whatever comes of them, so that one probability does not shift what follows.
fn drawn_policy(rng: &mut ChaCha8Rng) -> Vec<Operation> {
    let steps = policy(below(rng, POLICIES) as usize);
    let drawn = steps.map(|step| (step, unit(rng), unit(rng) < 0.5));
    drawn.iter().filter(|(step, at, _)| *at < step.probability).map(|(step, _, back)| step.operation(*back)).collect()
}

/// The probability of either of PAR's changes, the deviation of its noise where 1 is the range of values, and the part of the
/// picture that its square covers.
const CHANGED: f64 = 0.5;
const NOISE: f64 = 0.2;
const ERASED: [f64; 2] = [0.005, 0.01];
/// PAR's noise is cut off below 0: it only ever makes a value greater.
const DARKER: f64 = 0.0;

/// Normalised pixels `[rows, 3, S, S]` of pictures of bytes `[rows, S, S, 3]`: half of them with noise, half with a square
/// set to the mean.
pub fn perturbed(images: &Tensor, rows: Rows<'_>, draws: Stream, normalization: &Normalization) -> Result<Tensor> {
    let (side, length) = (images.size()[1], (images.numel() / rows.rows.len().max(1)));
    let mut noise = Vec::with_capacity(images.numel());
    let mut squares = Vec::with_capacity(rows.rows.len());
    for mut rng in rows.each(draws) {
        squares.push(drawn_square(&mut rng, side));
        match unit(&mut rng) < CHANGED {
            true => noise.extend(
                StandardNormal
                    .sample_iter(&mut rng)
                    .take(length)
                    .map(|value: f64| (NOISE * value).clamp(DARKER, 1.0) as f32),
            ),
            false => noise.extend(std::iter::repeat_n(0.0_f32, length)),
        }
    }
    let noise = Tensor::f_from_slice(&noise)?.f_reshape(images.size().as_slice())?.f_to_device(images.device())?;
    augment::erased(&normalized(&augment::noisy(images, &noise)?, normalization)?, &squares)
}

fn drawn_square(rng: &mut ChaCha8Rng, picture: i64) -> Option<Square> {
    let (changes, at, top, left) = (unit(rng), unit(rng), unit(rng), unit(rng));
    let area = ERASED[0] + at * (ERASED[1] - ERASED[0]);
    let side = (area.sqrt() * picture as f64).round() as i64;
    let place = |at: f64| (at * (picture - side + 1) as f64) as i64;
    (changes < CHANGED && side > 0).then(|| Square { top: place(top), left: place(left), side })
}

#[cfg(test)]
mod tests {
    use lethe_model::tch::{Device, Kind};

    use super::*;

    const DRAWS: Stream = Stream { seed: 4, number: 33 };
    const SIDE: i64 = 20;

    fn pictures(rows: i64) -> Tensor {
        let values = (Tensor::arange(rows * SIDE * SIDE * 3, (Kind::Int64, Device::Cpu)) * 31).remainder(101) + 60;
        values.view([rows, SIDE, SIDE, 3]).to_kind(Kind::Uint8)
    }

    fn plain() -> Normalization {
        Normalization { mean: [0.0; 3], std: [1.0; 3] }
    }

    #[test]
    fn a_picture_is_changed_alike_wherever_it_stands() {
        let images = pictures(6);
        let rows = [40_i64, 3, 17, 8, 99, 5];
        let both = |images: &Tensor, rows: &[i64]| {
            let rows = Rows { step: 9, rows };
            let one = auto_augmented(images, rows, DRAWS).expect("augments");
            [one.to_kind(Kind::Float), perturbed(images, rows, DRAWS, &plain()).expect("perturbs")]
        };
        let whole = both(&images, &rows);
        for (from, count) in [(0, 2), (2, 3), (5, 1), (3, 0)] {
            let part = both(&images.narrow(0, from, count), &rows[from as usize..(from + count) as usize]);
            for (part, whole) in part.iter().zip(&whole) {
                assert_eq!(*part, whole.narrow(0, from, count), "{count} from {from} on");
            }
        }
        let later = auto_augmented(&images, Rows { step: 10, rows: &rows }, DRAWS).expect("augments");
        assert_ne!(later.to_kind(Kind::Float), whole[0], "another step, another view");
    }

    #[test]
    fn half_of_the_pictures_have_noise_and_half_a_small_square() {
        let (count, images) = (400, pictures(1).repeat([400, 1, 1, 1]));
        let rows: Vec<i64> = (0..count).collect();
        let made = perturbed(&images, Rows { step: 1, rows: &rows }, DRAWS, &plain()).expect("perturbs");
        let change = made - normalized(&images, &plain()).expect("normalises");
        let (mut noisy, mut erased) = (0, 0);
        for row in 0..count {
            let change = change.get(row);
            let black = i64::try_from(&change.le(-0.2).sum(Kind::Int64)).expect("is a number");
            // 0.5 to 1 % of 400 pixels in three channels: squares of 1.4 to 2 pixels a side.
            assert!([0, 3, 12].contains(&black), "{black}");
            erased += i64::from(black > 0);
            let brighter = i64::try_from(&change.gt(1e-6).sum(Kind::Int64)).expect("is a number");
            assert!(brighter == 0 || (500..700).contains(&brighter), "half of 1200 values: {brighter}");
            noisy += i64::from(brighter > 0);
        }
        assert!((160..240).contains(&noisy) && (160..240).contains(&erased), "{noisy} {erased} of 400");
    }
}
