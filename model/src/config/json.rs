//! Reads OpenCLIP's model config JSON into a [`ModelConfig`].
//!
//! It must never fill in an architecture: only the defaults that OpenCLIP itself has.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{ModelConfig, Normalization, TextConfig, VisionConfig, refuse};
use crate::error::{ModelError, Result};

#[derive(Deserialize)]
struct Model {
    embed_dim: i64,
    vision_cfg: Vision,
    text_cfg: Text,
    #[serde(default)]
    quick_gelu: bool,
    #[serde(flatten)]
    other: Map<String, Value>,
}

#[derive(Deserialize)]
struct Vision {
    #[serde(default = "vision_layers")]
    layers: usize,
    #[serde(default = "vision_width")]
    width: i64,
    #[serde(default = "head_width")]
    head_width: i64,
    #[serde(default = "mlp_ratio")]
    mlp_ratio: f64,
    #[serde(default = "patch_size")]
    patch_size: i64,
    #[serde(default = "image_size")]
    image_size: i64,
    #[serde(flatten)]
    other: Map<String, Value>,
}

#[derive(Deserialize)]
struct Text {
    #[serde(default = "context_length")]
    context_length: i64,
    #[serde(default = "vocab_size")]
    vocab_size: i64,
    #[serde(default = "text_width")]
    width: i64,
    #[serde(default = "text_heads")]
    heads: i64,
    #[serde(default = "text_layers")]
    layers: usize,
    #[serde(default = "mlp_ratio")]
    mlp_ratio: f64,
    #[serde(flatten)]
    other: Map<String, Value>,
}

#[derive(Deserialize, Default)]
struct Preprocess {
    mean: Option<[f32; 3]>,
    std: Option<[f32; 3]>,
}

fn vision_layers() -> usize {
    12
}
fn vision_width() -> i64 {
    768
}
fn head_width() -> i64 {
    64
}
fn mlp_ratio() -> f64 {
    4.0
}
fn patch_size() -> i64 {
    16
}
fn image_size() -> i64 {
    224
}
fn context_length() -> i64 {
    77
}
fn vocab_size() -> i64 {
    49_408
}
fn text_width() -> i64 {
    512
}
fn text_heads() -> i64 {
    8
}
fn text_layers() -> usize {
    12
}

pub(super) fn read(text: &str) -> Result<ModelConfig> {
    let mut whole: Value = serde_json::from_str(text).map_err(bad)?;
    let preprocess = match whole.get_mut("preprocess_cfg") {
        Some(section) => serde_json::from_value(section.take()).map_err(bad)?,
        None => Preprocess::default(),
    };
    let model = match whole.get_mut("model_cfg") {
        Some(section) => section.take(),
        None => whole,
    };
    refuse::towers(&model)?;
    build(serde_json::from_value(model).map_err(bad)?, preprocess)
}

fn bad(error: serde_json::Error) -> ModelError {
    ModelError::Config(error.to_string())
}

fn build(model: Model, preprocess: Preprocess) -> Result<ModelConfig> {
    refuse::options("", &model.other)?;
    refuse::options("vision_cfg.", &model.vision_cfg.other)?;
    refuse::options("text_cfg.", &model.text_cfg.other)?;
    let default = Normalization::default();
    let config = ModelConfig {
        embed_dim: model.embed_dim,
        vision: vision(&model.vision_cfg),
        text: text(&model.text_cfg),
        quick_gelu: model.quick_gelu,
        normalization: Normalization {
            mean: preprocess.mean.unwrap_or(default.mean),
            std: preprocess.std.unwrap_or(default.std),
        },
    };
    refuse::senseless(&config)?;
    Ok(config)
}

fn vision(cfg: &Vision) -> VisionConfig {
    VisionConfig {
        image_size: cfg.image_size,
        patch_size: cfg.patch_size,
        width: cfg.width,
        layers: cfg.layers,
        heads: cfg.width.checked_div(cfg.head_width).unwrap_or(0),
        mlp_width: (cfg.width as f64 * cfg.mlp_ratio) as i64,
    }
}

fn text(cfg: &Text) -> TextConfig {
    TextConfig {
        context_length: cfg.context_length,
        vocab_size: cfg.vocab_size,
        width: cfg.width,
        layers: cfg.layers,
        heads: cfg.heads,
        mlp_width: (cfg.width as f64 * cfg.mlp_ratio) as i64,
    }
}

/// The config in OpenCLIP's open_clip_config.json form, which [`read`] reads back.
pub(super) fn write(config: &ModelConfig) -> String {
    let (v, t) = (&config.vision, &config.text);
    let model = serde_json::json!({
        "embed_dim": config.embed_dim,
        "quick_gelu": config.quick_gelu,
        "vision_cfg": {
            "image_size": v.image_size, "patch_size": v.patch_size, "width": v.width, "layers": v.layers,
            "head_width": v.width / v.heads, "mlp_ratio": ratio(v.mlp_width, v.width),
        },
        "text_cfg": {
            "context_length": t.context_length, "vocab_size": t.vocab_size, "width": t.width, "layers": t.layers,
            "heads": t.heads, "mlp_ratio": ratio(t.mlp_width, t.width),
        },
    });
    let statistics = &config.normalization;
    let preprocess = serde_json::json!({ "mean": statistics.mean, "std": statistics.std });
    format!("{:#}\n", serde_json::json!({ "model_cfg": model, "preprocess_cfg": preprocess }))
}

/// The ratio that gives `mlp_width` back although OpenCLIP cuts off what follows the point.
fn ratio(mlp_width: i64, width: i64) -> f64 {
    let exact = mlp_width as f64 / width as f64;
    if (width as f64 * exact) as i64 == mlp_width { exact } else { (mlp_width as f64 + 0.5) / width as f64 }
}
