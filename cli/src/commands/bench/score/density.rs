//! DAO over many embeddings, beside the same definition in PyTorch: a product of matrices and a topk a chunk.
//!
//! It must never time what differs: a score that is not the other's within rounding ends the benchmark.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, ensure};
use lethe_common::spec::ReferenceSection;
use lethe_model::density::{NEIGHBOURS, Reference};
use lethe_model::tch::{self, Device, Kind, Tensor};
use serde::Serialize;

use super::super::figures::spread;
use super::super::proc::cpu_seconds;
use super::super::ray::ask;

const WIDTH: i64 = 512;
const CLUSTERS: i64 = 64;
/// What the product's rounding makes of PyTorch's distances, on scores of about 1.
const TOLERANCE: f64 = 1e-3;

/// Processor seconds of all scores, the reference set's own densities included.
#[derive(Debug, Clone, Serialize)]
pub struct Round {
    pub lethe_s: f64,
    pub torch_s: f64,
}

#[derive(Debug, Clone, Serialize)]
pub struct Dao {
    pub embeddings: u32,
    pub width: i64,
    pub reference_pairs: u32,
    pub neighbours: usize,
    pub rounds: Vec<Round>,
    /// Between a score here and there.
    pub largest_difference: f64,
}

impl Dao {
    /// PyTorch's seconds over Lethe's of the same round: the middle, the least and the most.
    pub fn ratio(&self) -> Option<[f64; 3]> {
        spread(self.rounds.iter().map(|round| round.torch_s / round.lethe_s))
    }
}

/// The pairs of the reference set, and the embeddings to score: first its own images, then strangers.
struct Embeddings {
    images: Tensor,
    texts: Tensor,
    x: Tensor,
    own: Vec<i64>,
}

impl Embeddings {
    /// In clusters of many widths, with a gap between images and texts, as CLIP's are.
    fn draw(count: u32, pairs: u32) -> anyhow::Result<Self> {
        tch::manual_seed(1);
        let normal = |rows: i64| Tensor::f_randn([rows, WIDTH], (Kind::Float, Device::Cpu));
        let centres = normal(CLUSTERS)?;
        let around = |rows: i64, gap: f64| -> anyhow::Result<Tensor> {
            let of = Tensor::f_randint(CLUSTERS, [rows], (Kind::Int64, Device::Cpu))?;
            let width = Tensor::f_rand([rows, 1], (Kind::Float, Device::Cpu))?.f_add_scalar(0.3)?;
            Ok(centres.f_index_select(0, &of)?.f_add(&normal(rows)?.f_mul(&width)?)?.f_add_scalar(gap)?)
        };
        let (images, texts) = (around(i64::from(pairs), 0.5)?, around(i64::from(pairs), -0.5)?);
        let strangers = i64::from(count.saturating_sub(pairs));
        let x = Tensor::f_cat(&[&images, &around(strangers, 0.5)?], 0)?.f_narrow(0, 0, i64::from(count))?;
        let own = (0..i64::from(count)).map(|row| if row < i64::from(pairs) { row } else { -1 }).collect();
        Ok(Self { images, texts, x, own })
    }

    fn write(&self, path: &Path) -> anyhow::Result<()> {
        let own = Tensor::from_slice(&self.own);
        let named = [("images", &self.images), ("texts", &self.texts), ("x", &self.x), ("own", &own)];
        Tensor::write_safetensors(&named, path).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Lethe's scores and the processor seconds that they took.
    fn score(&self) -> anyhow::Result<(Vec<f32>, f64)> {
        let pid = std::process::id();
        let own: Vec<Vec<u32>> = self.own.iter().map(|own| u32::try_from(*own).into_iter().collect()).collect();
        let before = cpu_seconds(pid)?;
        let reference = Reference::of(&self.images, &self.texts, NEIGHBOURS)?;
        let scores = reference.densities(&self.x, &own)?.dao;
        Ok((scores, cpu_seconds(pid)? - before))
    }
}

/// Scores so many embeddings in turns, one thread each; who goes first changes from round to round.
pub async fn measure(script: &Path, embeddings: u32, rounds: u32) -> anyhow::Result<Dao> {
    tch::set_num_threads(1);
    let folder = tempfile::Builder::new().prefix("lethe-bench-").tempdir()?;
    let (data, out) = (folder.path().join("data.safetensors"), folder.path().join("scores.safetensors"));
    let reference_pairs = ReferenceSection::default().samples;
    let drawn = Embeddings::draw(embeddings, reference_pairs)?;
    drawn.write(&data)?;
    let text = |path: &Path| path.display().to_string();
    let words = ["--data".to_owned(), text(&data), "--out".to_owned(), text(&out)];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut found = Dao {
        embeddings,
        width: WIDTH,
        reference_pairs,
        neighbours: NEIGHBOURS,
        rounds: Vec::new(),
        largest_difference: 0.0,
    };
    for number in 0..rounds {
        let began = Instant::now();
        let before = if number % 2 == 0 { None } else { Some(drawn.score()?) };
        let theirs = ask(script, &words, "dao").await?;
        let (scores, lethe_s) = before.map_or_else(|| drawn.score(), Ok)?;
        let torch_s = theirs["cpu_s"].as_f64().context("the script did not say how long it took")?;
        found.largest_difference = found.largest_difference.max(difference(&scores, &out)?);
        eprintln!("dao: round {} of {rounds} took {:.0} s", number + 1, began.elapsed().as_secs_f64());
        found.rounds.push(Round { lethe_s, torch_s });
    }
    Ok(found)
}

/// The largest between our scores and those in the file. Errors: more than rounding.
fn difference(ours: &[f32], theirs: &Path) -> anyhow::Result<f64> {
    let read = Tensor::read_safetensors(theirs).context("the script wrote no scores")?;
    let theirs = read.iter().find(|(name, _)| name == "dao").context("the script wrote no scores")?;
    let off = (Tensor::from_slice(ours).f_sub(&theirs.1)?).f_abs()?.f_max()?.f_double_value(&[])?;
    ensure!(off <= TOLERANCE, "a score differs by {off} from PyTorch's; nothing can be compared");
    Ok(off)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embeddings_begin_with_the_reference_and_scores_are_compared() {
        let drawn = Embeddings::draw(90, 40).expect("draws");
        assert_eq!((drawn.x.size(), drawn.own[39], drawn.own[40]), (vec![90, WIDTH], 39, -1));
        let (scores, _) = drawn.score().expect("scores");
        let folder = tempfile::tempdir().expect("makes a folder");
        let path = folder.path().join("scores.safetensors");
        let write = |scores: &[f32]| Tensor::write_safetensors(&[("dao", Tensor::from_slice(scores))], &path);
        write(&scores).expect("writes");
        assert_eq!(difference(&scores, &path).expect("is equal"), 0.0);
        let other: Vec<f32> = scores.iter().map(|score| score + 0.01).collect();
        write(&other).expect("writes");
        assert!(difference(&scores, &path).is_err());
    }
}
