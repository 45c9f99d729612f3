//! The architecture of a CLIP model, as OpenCLIP's model config JSON tells it.
//!
//! It must never guess: what OpenCLIP would build differently from this crate is refused by name.

mod json;
mod refuse;

use crate::error::Result;

/// OpenAI CLIP's pixel statistics, OpenCLIP's default.
const OPENAI_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const OPENAI_STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// A ViT image tower and a causal text tower with one embedding space.
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
    /// Side of a patch in pixels; the grid is floor(image_size / patch_size) a side.
    pub patch_size: i64,
    pub width: i64,
    pub layers: usize,
    pub heads: i64,
    pub mlp_width: i64,
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
    /// Reads OpenCLIP's model config, or open_clip_config.json with model_cfg and preprocess_cfg.
    ///
    /// # Errors
    /// `Config` where a field is missing or senseless, `Unsupported` for other towers and options.
    pub fn from_json(text: &str) -> Result<Self> {
        json::read(text)
    }

    /// The config as open_clip_config.json, for a checkpoint that is published.
    pub fn to_json(&self) -> String {
        json::write(self)
    }
}

impl VisionConfig {
    /// Patches of a side of the grid.
    pub fn grid(&self) -> i64 {
        self.image_size / self.patch_size
    }

    /// Patch tokens of an image (P), the class token not counted.
    pub fn patches(&self) -> i64 {
        self.grid() * self.grid()
    }
}
