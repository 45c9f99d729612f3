//! What JPEGs of a reduced scale change: pixels, embeddings, and the order of similarities.

use std::path::PathBuf;

use lethe_data::{JpegScale, Limits, Target, decode, open_shard};
use lethe_evidence::Ecdf;
use lethe_model::Clip;
use lethe_model::loss::similarity;
use lethe_model::tch::{self, Tensor};
use serde::Serialize;

use crate::programs::captions::Distinct;
use crate::programs::pictures::pixels_of;

#[derive(Debug, Serialize)]
pub struct Effect {
    pictures: usize,
    /// Of those, pictures whose pixels differ at all.
    reduced: usize,
    /// Of all values, of 255.
    mean_difference: f64,
    /// Between the two image features of a picture.
    least_cosine: f64,
    mean_cosine: f64,
    /// Spearman's, of the similarities of all pairs in both ways.
    rank_correlation: f64,
}

/// Pixels and captions of one pair, in both ways.
struct Both {
    exact: Vec<u8>,
    reduced: Vec<u8>,
    caption: String,
}

pub fn measure(clip: &Clip, shards: &[PathBuf], samples: usize) -> anyhow::Result<Effect> {
    let _guard = tch::no_grad_guard();
    let side = u32::try_from(clip.config().vision.image_size)?;
    let pairs = read(shards, samples, side)?;
    let exact = embed(clip, pairs.iter().map(|pair| pair.exact.as_slice()))?;
    let reduced = embed(clip, pairs.iter().map(|pair| pair.reduced.as_slice()))?;
    let text = Distinct::of(pairs.iter().map(|pair| pair.caption.as_str())).embed_each(clip)?;
    let [cosines, one, other] =
        [similarity(&exact, &reduced)?, similarity(&exact, &text)?, similarity(&reduced, &text)?]
            .map(Vec::<f32>::try_from);
    let cosines = cosines?;
    let differences = pairs.iter().flat_map(|pair| pair.exact.iter().zip(&pair.reduced)).map(|(a, b)| a.abs_diff(*b));
    let (sum, count) = differences.fold((0_u64, 0_u64), |(sum, count), off| (sum + u64::from(off), count + 1));
    Ok(Effect {
        pictures: pairs.len(),
        reduced: pairs.iter().filter(|pair| pair.exact != pair.reduced).count(),
        mean_difference: sum as f64 / count.max(1) as f64,
        least_cosine: cosines.iter().copied().fold(f32::INFINITY, f32::min).into(),
        mean_cosine: cosines.iter().map(|cosine| f64::from(*cosine)).sum::<f64>() / cosines.len().max(1) as f64,
        rank_correlation: spearman(&one?, &other?)?,
    })
}

fn read(shards: &[PathBuf], samples: usize, side: u32) -> anyhow::Result<Vec<Both>> {
    let mut pairs = Vec::new();
    for path in shards {
        for sample in open_shard(path, Limits::default())?.flatten().take(samples - pairs.len()) {
            let [exact, reduced] =
                [JpegScale::Exact, JpegScale::Reduced].map(|jpeg| decode(&sample.image, Target { side, jpeg }));
            pairs.push(Both { exact: exact?, reduced: reduced?, caption: sample.caption });
        }
    }
    Ok(pairs)
}

const AT_ONCE: usize = 32;

fn embed<'a>(clip: &Clip, pictures: impl Iterator<Item = &'a [u8]>) -> anyhow::Result<Tensor> {
    let pictures: Vec<&[u8]> = pictures.collect();
    let embed = |some: &[&[u8]]| clip.encode_image(&pixels_of(some.iter().copied(), clip)?);
    let parts = pictures.chunks(AT_ONCE).map(embed).collect::<Result<Vec<_>, _>>()?;
    Ok(Tensor::f_cat(&parts, 0)?)
}

/// Pearson's correlation of the ranks.
fn spearman(one: &[f32], other: &[f32]) -> anyhow::Result<f64> {
    let ranks = |values: &[f32]| -> anyhow::Result<Vec<f64>> {
        let all = Ecdf::new(values.to_vec())?;
        Ok(values.iter().map(|value| all.rank(*value)).collect())
    };
    let (one, other) = (ranks(one)?, ranks(other)?);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (a, b) = (mean(&one), mean(&other));
    let product =
        |x: &[f64], y: &[f64], (a, b): (f64, f64)| x.iter().zip(y).map(|(x, y)| (x - a) * (y - b)).sum::<f64>();
    Ok(product(&one, &other, (a, b)) / (product(&one, &one, (a, a)) * product(&other, &other, (b, b))).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_and_not_values_are_correlated() {
        let found = |one: &[f32], other: &[f32]| spearman(one, other).expect("are ranks");
        let values = [0.1, 0.2, 0.3, 0.4, 0.9];
        assert!((found(&values, &values.map(|v| v * v * v)) - 1.0).abs() < 1e-9);
        assert!((found(&values, &values.map(|v| -v)) + 1.0).abs() < 1e-9);
        assert!((found(&[1.0, 2.0, 3.0], &[1.0, 3.0, 2.0]) - 0.5).abs() < 1e-9);
    }
}
