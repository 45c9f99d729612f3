//! Pairs in, similarities out: Lethe's pipeline beside open_clip's with webdataset, on the same shards and weights.
//!
//! It must never time what differs: a similarity that is not the reference's within rounding ends the benchmark.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::ray::ask;
use super::model;
use super::worker::measure;
use crate::arguments::Score;

/// Pixels a side of the small pictures.
pub const SMALL_SIDE: u32 = 64;
/// Bicubic resizing and JPEG decoding may differ by a step of 255 from Pillow's here and there.
const TOLERANCE: f32 = 0.005;

/// A model's shape.
pub struct Shape {
    name: &'static str,
    embed_dim: u32,
    image_size: u32,
    patch_size: u32,
    vision: (u32, u32),
    text: (u32, u32, u32),
}

pub const VIT_B_32: Shape =
    Shape { name: "ViT-B-32", embed_dim: 512, image_size: 224, patch_size: 32, vision: (768, 12), text: (512, 8, 12) };
pub const SMALL: Shape = Shape {
    name: "small",
    embed_dim: 128,
    image_size: SMALL_SIDE,
    patch_size: 16,
    vision: (128, 4),
    text: (128, 2, 4),
};

impl Shape {
    /// A config and weights of this shape, by path.
    pub fn write(&self, folder: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
        model::write(folder, self.name, &self.config())
    }

    fn config(&self) -> Value {
        let ((vision_width, vision_layers), (width, heads, layers)) = (self.vision, self.text);
        json!({
            "embed_dim": self.embed_dim,
            "vision_cfg": {"image_size": self.image_size, "patch_size": self.patch_size, "width": vision_width, "layers": vision_layers},
            "text_cfg": {"context_length": 77, "vocab_size": 49_408, "width": width, "heads": heads, "layers": layers},
        })
    }
}

/// What one pass over the shards cost, in seconds of processor time; `wall_s` and `waited_s` by the clock.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Pass {
    pub samples: u64,
    pub cpu_s: f64,
    pub wall_s: f64,
    /// The computing thread waited for pictures.
    pub waited_s: f64,
    /// Lethe's stages of the computing thread.
    pub image_s: f64,
    pub text_s: f64,
    pub observe_s: f64,
    /// The reference's image tower on a batch that lies ready, a picture.
    pub tower_s: f64,
    #[serde(skip_serializing)]
    similarities: Vec<f32>,
}

impl Pass {
    pub fn of(&self, seconds: f64) -> f64 {
        seconds / self.samples as f64
    }
}

/// One turn of each.
#[derive(Debug, Clone, Serialize)]
pub struct Round {
    pub lethe: Pass,
    /// The same shards with all that scoring looks at: a blur, a crop and a gradient beside the picture.
    pub observed: Pass,
    pub open_clip: Option<Pass>,
}

impl Round {
    /// Samples a second of processor time, over open_clip's.
    pub fn ratio(&self) -> Option<f64> {
        let theirs = self.open_clip.as_ref()?;
        Some(theirs.of(theirs.cpu_s) / self.lethe.of(self.lethe.cpu_s))
    }

    /// The bare tower's time a picture, over what the image stage takes here.
    pub fn tower_share(&self) -> Option<f64> {
        Some(self.open_clip.as_ref()?.tower_s / self.lethe.of(self.lethe.image_s))
    }
}

/// A model and shards, ready.
pub struct Bench<'a> {
    options: &'a Score,
    config: PathBuf,
    checkpoint: PathBuf,
    shards: Vec<PathBuf>,
}

/// The operator's own, or pictures of web size.
pub async fn web_shards(options: &Score, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    match &options.shards[..] {
        [] => shards(options, &folder.join("web"), (options.samples, 0)).await,
        own => Ok(own.to_vec()),
    }
}

/// Shards that the script makes.
pub async fn shards(options: &Score, folder: &Path, (samples, side): (u32, u32)) -> anyhow::Result<Vec<PathBuf>> {
    let out = folder.to_str().context("the temporary folder's name is no text")?;
    let (samples, side) = (samples.to_string(), side.to_string());
    let words = ["data", "--out", out, "--samples", &samples, "--side", &side];
    let made = ask(&options.python, &words, "python").await?;
    serde_json::from_value(made).context("the script did not list the shards that it made")
}

impl<'a> Bench<'a> {
    pub fn prepare(options: &'a Score, folder: &Path, shape: &Shape, shards: Vec<PathBuf>) -> anyhow::Result<Self> {
        let (config, checkpoint) = shape.write(folder)?;
        Ok(Self { options, config, checkpoint, shards })
    }

    /// Who goes first changes from round to round.
    pub async fn round(&self, number: u32) -> anyhow::Result<Round> {
        let theirs_first = !number.is_multiple_of(2);
        let before = if theirs_first { self.theirs().await? } else { None };
        let lethe = self.ours("embed").await?;
        let open_clip = if theirs_first { before } else { self.theirs().await? };
        let observed = self.ours("observe").await?;
        open_clip.iter().try_for_each(|theirs| same(&lethe, theirs))?;
        Ok(Round { lethe, observed, open_clip })
    }

    async fn ours(&self, part: &str) -> anyhow::Result<Pass> {
        let Self { options, config, checkpoint, shards } = self;
        let batch = options.batch;
        measure(&json!({"part": part, "config": config, "checkpoint": checkpoint, "shards": shards, "batch": batch}))
            .await
    }

    async fn theirs(&self) -> anyhow::Result<Option<Pass>> {
        if self.options.no_python {
            return Ok(None);
        }
        let text = |path: &Path| path.display().to_string();
        let (config, checkpoint, batch) = (text(&self.config), text(&self.checkpoint), self.options.batch.to_string());
        let shards: Vec<String> = self.shards.iter().map(|shard| text(shard)).collect();
        let mut words = vec!["--part", "embed", "--config", &config, "--checkpoint", &checkpoint, "--batch", &batch];
        words.extend(shards.iter().map(String::as_str));
        let found = ask(&self.options.python, &words, "python").await?;
        serde_json::from_value(found).map(Some).context("the script printed another JSON than was asked for")
    }
}

fn same(ours: &Pass, theirs: &Pass) -> anyhow::Result<()> {
    ensure!(
        ours.similarities.len() == theirs.similarities.len(),
        "{} pairs of the reference's {} were scored",
        ours.similarities.len(),
        theirs.similarities.len()
    );
    // A NaN is never within it.
    let agrees = |(a, b): (&f32, &f32)| (a - b).abs() <= TOLERANCE;
    match ours.similarities.iter().zip(&theirs.similarities).position(|pair| !agrees(pair)) {
        None => Ok(()),
        Some(at) => {
            let (a, b) = (ours.similarities[at], theirs.similarities[at]);
            bail!("the similarity of pair {at} is {a} and the reference's is {b}; nothing can be compared")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_similarities_are_not_compared() {
        let pass = |similarities: &[f32]| Pass { similarities: similarities.to_vec(), ..Pass::default() };
        assert!(same(&pass(&[0.1, 0.2]), &pass(&[0.1, 0.201])).is_ok());
        assert!(same(&pass(&[0.1, 0.2]), &pass(&[0.2, 0.1])).is_err());
        assert!(same(&pass(&[0.1]), &pass(&[0.1, 0.2])).is_err());
        assert!(same(&pass(&[f32::NAN]), &pass(&[0.1])).is_err());
    }

    #[test]
    fn ratios_are_a_sample() {
        let lethe = Pass { samples: 10, cpu_s: 1.0, image_s: 0.5, ..Pass::default() };
        let theirs = Pass { samples: 5, cpu_s: 1.0, tower_s: 0.045, ..Pass::default() };
        let round = Round { observed: lethe.clone(), lethe, open_clip: Some(theirs) };
        let (ratio, share) = (round.ratio().expect("was measured"), round.tower_share().expect("was measured"));
        assert!((ratio - 2.0).abs() < 1e-12 && (share - 0.9).abs() < 1e-12, "{ratio}, {share}");
    }
}
