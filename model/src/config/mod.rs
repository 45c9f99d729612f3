//! The architecture of a CLIP model, as OpenCLIP's model config JSON or Hugging Face's config.json tells it.
//!
//! It must never guess: what OpenCLIP or transformers would build differently from this crate is refused by name.

mod hugging_face;
pub(crate) mod infer;
mod json;
mod refuse;
mod write;

pub use infer::Hints;
use serde_json::Value;

use crate::error::{ModelError, Result};

/// OpenAI CLIP's pixel statistics, OpenCLIP's default.
const OPENAI_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const OPENAI_STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// An image tower and a causal text tower with one embedding space.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Dimensions of the shared embedding space (D).
    pub embed_dim: i64,
    pub vision: VisionConfig,
    pub text: TextConfig,
    /// x sigmoid(1.702 x) instead of GELU: OpenAI's checkpoints.
    pub quick_gelu: bool,
    pub normalization: Normalization,
}

#[derive(Debug, Clone, PartialEq)]
pub struct VisionConfig {
    /// Side of the square input in pixels.
    pub image_size: i64,
    /// Of a token in a ViT; of the first stage in a ResNet, whose last stage is 32 times as wide.
    pub width: i64,
    /// Of each block in a ViT; of the attention pool in a ResNet.
    pub heads: i64,
    pub tower: Tower,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tower {
    Vit(Vit),
    ResNet(ResNet),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vit {
    /// Side of a patch in pixels; the grid is floor(image_size / patch_size) a side.
    pub patch_size: i64,
    pub layers: usize,
    pub mlp_width: i64,
}

/// OpenCLIP's ModifiedResNet with its attention pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResNet {
    /// Bottleneck blocks of each stage.
    pub blocks: [usize; 4],
}

impl ResNet {
    /// Pixels a side that become one cell of the attention pool: stem and stages halve the side five times.
    pub const STRIDE: i64 = 32;
    /// Stages widen eightfold, and a bottleneck's output is four times its stage.
    pub const WIDENING: i64 = 32;
}

#[derive(Debug, Clone, PartialEq)]
pub struct TextConfig {
    /// Longest token row (L), start and end of text included.
    pub context_length: i64,
    pub vocab_size: i64,
    pub width: i64,
    pub layers: usize,
    pub heads: i64,
    pub mlp_width: i64,
}

/// What pixels in 0..1 are shifted and divided by, per channel (R, G, B).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalization {
    pub mean: [f32; 3],
    pub std: [f32; 3],
}

impl Default for Normalization {
    fn default() -> Self {
        Self { mean: OPENAI_MEAN, std: OPENAI_STD }
    }
}

impl ModelConfig {
    /// Reads OpenCLIP's model config, its open_clip_config.json with model_cfg and preprocess_cfg, or the config.json of a
    /// Hugging Face CLIPModel.
    ///
    /// # Errors
    /// `Config` where a field is missing or senseless, `Unsupported` for other towers and options.
    pub fn from_json(text: &str) -> Result<Self> {
        let whole: Value = serde_json::from_str(text).map_err(bad)?;
        let config = match hugging_face::is_one(&whole) {
            true => hugging_face::read(whole)?,
            false => json::read(whole)?,
        };
        refuse::senseless(&config)?;
        Ok(config)
    }

    /// The config as open_clip_config.json, for a checkpoint that is published.
    pub fn to_json(&self) -> String {
        write::write(self)
    }
}

fn bad(error: serde_json::Error) -> ModelError {
    ModelError::Config(error.to_string())
}

impl VisionConfig {
    /// Patches, or cells of the attention pool, of a side of the grid.
    pub fn grid(&self) -> i64 {
        match self.tower {
            Tower::Vit(vit) => self.image_size / vit.patch_size,
            Tower::ResNet(_) => self.image_size / ResNet::STRIDE,
        }
    }

    /// Patch tokens of an image (P), the class token not counted.
    pub fn patches(&self) -> i64 {
        self.grid() * self.grid()
    }

    /// Numbers of an image token (W).
    pub fn token_width(&self) -> i64 {
        match self.tower {
            Tower::Vit(_) => self.width,
            Tower::ResNet(_) => self.width * ResNet::WIDENING,
        }
    }
}
