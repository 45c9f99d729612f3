//! Reads OpenCLIP's model config JSON into a [`ModelConfig`].
//!
//! It must never fill in an architecture: only the defaults that OpenCLIP itself has.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{ModelConfig, Normalization, ResNet, TextConfig, Tower, VisionConfig, Vit, bad, refuse};
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
    layers: Layers,
    #[serde(default = "vision_width")]
    width: i64,
    #[serde(default = "head_width")]
    head_width: i64,
    #[serde(default = "mlp_ratio")]
    mlp_ratio: f64,
    /// null in the configs of ResNets.
    #[serde(default = "patch_size")]
    patch_size: Option<i64>,
    #[serde(default = "image_size")]
    image_size: i64,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// A ViT's depth, or the blocks of a ResNet's stages.
#[derive(Deserialize, Clone, Copy)]
#[serde(untagged)]
enum Layers {
    Depth(usize),
    Stages([usize; 4]),
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

fn vision_layers() -> Layers {
    Layers::Depth(12)
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
fn patch_size() -> Option<i64> {
    Some(16)
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

pub(super) fn read(mut whole: Value) -> Result<ModelConfig> {
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

fn build(model: Model, preprocess: Preprocess) -> Result<ModelConfig> {
    refuse::options("", &model.other)?;
    refuse::options("vision_cfg.", &model.vision_cfg.other)?;
    refuse::options("text_cfg.", &model.text_cfg.other)?;
    let default = Normalization::default();
    Ok(ModelConfig {
        embed_dim: model.embed_dim,
        vision: vision(&model.vision_cfg)?,
        text: text(&model.text_cfg),
        quick_gelu: model.quick_gelu,
        normalization: Normalization {
            mean: preprocess.mean.unwrap_or(default.mean),
            std: preprocess.std.unwrap_or(default.std),
        },
    })
}

fn vision(cfg: &Vision) -> Result<VisionConfig> {
    let wide = match cfg.layers {
        Layers::Depth(_) => cfg.width,
        Layers::Stages(_) => cfg.width.saturating_mul(ResNet::WIDENING),
    };
    let heads = wide.checked_div(cfg.head_width).unwrap_or(0);
    Ok(VisionConfig { image_size: cfg.image_size, width: cfg.width, heads, tower: tower(cfg)? })
}

fn tower(cfg: &Vision) -> Result<Tower> {
    match (cfg.layers, cfg.patch_size) {
        (Layers::Stages(blocks), _) => Ok(Tower::ResNet(ResNet { blocks })),
        (Layers::Depth(layers), Some(patch_size)) => {
            Ok(Tower::Vit(Vit { patch_size, layers, mlp_width: (cfg.width as f64 * cfg.mlp_ratio) as i64 }))
        }
        (Layers::Depth(_), None) => {
            Err(ModelError::Config("vision_cfg.patch_size is null, expected the side of a ViT's patch".into()))
        }
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
