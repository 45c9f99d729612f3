//! Pictures from their files to the model's size, beside Pillow's.

use std::path::PathBuf;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::ray::ask;
use super::worker::measure;
use crate::arguments::Score;

const SIDE: u32 = 224;
/// Enough for a rank correlation, at two forwards a picture.
const EFFECT_SAMPLES: usize = 128;

/// Seconds of processor time, all pictures together.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Cost {
    pub pictures: u64,
    pub decode_and_resize_s: f64,
    pub resize_s: f64,
    /// Decoding and resizing where JPEGs are unpacked at a reduced scale; Pillow's side has none.
    #[serde(default)]
    pub reduced_s: f64,
}

/// What reduced JPEGs change, as the worker tells it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Effect {
    pub pictures: u64,
    pub reduced: u64,
    pub mean_difference: f64,
    pub least_cosine: f64,
    pub mean_cosine: f64,
    pub rank_correlation: f64,
}

/// One turn of each.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Round {
    pub lethe: Cost,
    pub pillow: Option<Cost>,
}

impl Round {
    fn ratio(&self, of: impl Fn(&Cost) -> f64) -> Option<f64> {
        let a_picture = |cost: &Cost| of(cost) / cost.pictures as f64;
        Some(a_picture(self.pillow.as_ref()?) / a_picture(&self.lethe))
    }

    pub fn ratio_decode(&self) -> Option<f64> {
        self.ratio(|cost| cost.decode_and_resize_s)
    }

    /// Lethe's own time of exact decoding over that of reduced.
    pub fn ratio_reduced(&self) -> Option<f64> {
        Some(self.lethe.decode_and_resize_s / self.lethe.reduced_s)
    }

    pub fn ratio_resize(&self) -> Option<f64> {
        self.ratio(|cost| cost.resize_s)
    }
}

/// Of a model, over so many pictures.
pub async fn effect((config, checkpoint): (PathBuf, PathBuf), shards: &[PathBuf]) -> anyhow::Result<Effect> {
    let samples = EFFECT_SAMPLES;
    measure(
        &json!({"part": "reduced", "config": config, "checkpoint": checkpoint, "shards": shards, "samples": samples}),
    )
    .await
}

pub async fn round(options: &Score, shards: &[PathBuf]) -> anyhow::Result<Round> {
    let lethe = measure(&json!({"part": "decode", "shards": shards, "side": SIDE})).await?;
    if options.no_python {
        return Ok(Round { lethe, pillow: None });
    }
    let shards: Vec<String> = shards.iter().map(|shard| shard.display().to_string()).collect();
    let side = SIDE.to_string();
    let mut words = vec!["--part", "decode", "--side", &side];
    words.extend(shards.iter().map(String::as_str));
    let found = ask(&options.python, &words, "python").await?;
    let pillow = serde_json::from_value(found).context("the script printed another JSON than was asked for")?;
    Ok(Round { lethe, pillow: Some(pillow) })
}
