//! The ViT image tower, in two halves: up to its first layer norm, and from there to the embedding.
//!
//! It must never normalise pixels or embeddings: callers say what they want.

use tch::Tensor;

use crate::config::{ModelConfig, VisionConfig, Vit};
use crate::error::{ModelError, Result};
use crate::transformer::{Activation, Attend, Block, LayerNorm, Named, Pool, take};

#[derive(Debug)]
pub(crate) struct VitTower {
    grid: i64,
    patch_size: i64,
    conv1: Tensor,
    class_embedding: Tensor,
    positional_embedding: Tensor,
    ln_pre: LayerNorm,
    blocks: Vec<Block>,
    ln_post: LayerNorm,
    proj: Tensor,
}

impl VitTower {
    pub fn bind(config: &ModelConfig, vit: &Vit, named: &Named<'_>) -> Self {
        let VisionConfig { heads, .. } = config.vision;
        let activation = Activation::of(config.quick_gelu);
        let block = |layer| Block::bind(named, &format!("visual.transformer.resblocks.{layer}"), heads, activation);
        Self {
            grid: config.vision.grid(),
            patch_size: vit.patch_size,
            conv1: take(named, "visual.conv1.weight"),
            class_embedding: take(named, "visual.class_embedding"),
            positional_embedding: take(named, "visual.positional_embedding"),
            ln_pre: LayerNorm::bind(named, "visual.ln_pre"),
            blocks: (0..vit.layers).map(block).collect(),
            ln_post: LayerNorm::bind(named, "visual.ln_post"),
            proj: take(named, "visual.proj"),
        }
    }

    /// `[B, 3, S, S]` to the tokens after `ln_pre`, `[B, 1 + P, W]`.
    pub fn embed(&self, pixels: &Tensor) -> Result<Tensor> {
        let patches = self.patches(pixels)?;
        let (batch, _, _) = patches.size3()?;
        let width = self.class_embedding.numel() as i64;
        let tokens = patches.f_linear(&self.conv1.f_view([width, -1])?, None::<&Tensor>)?;
        let class = self.class_embedding.f_expand([batch, 1, width], false)?;
        let tokens = Tensor::f_cat(&[class, tokens], 1)?.f_add(&self.positional_embedding)?;
        self.ln_pre.forward(&tokens)
    }

    /// `[B, 1 + K, W]` to `[B, D]`.
    pub fn encode(&self, tokens: &Tensor) -> Result<Tensor> {
        let Some((last, first)) = self.blocks.split_last() else {
            return Err(ModelError::Config("the image tower has no layers".into()));
        };
        let mut x = tokens.shallow_clone();
        for block in first {
            x = block.forward(&x, Attend::All)?;
        }
        let pooled = last.forward_pooled(&x, Pool::First)?.f_squeeze_dim(1)?;
        Ok(self.ln_post.forward(&pooled)?.f_matmul(&self.proj)?)
    }

    /// `[B, 3, S, S]` to `[B, P, 3 p p]`: a convolution whose stride is its kernel is a matrix product over patches.
    fn patches(&self, pixels: &Tensor) -> Result<Tensor> {
        let (batch, patch, grid) = (pixels.size4()?.0, self.patch_size, self.grid);
        let cut = pixels.f_narrow(2, 0, grid * patch)?.f_narrow(3, 0, grid * patch)?;
        let cells = cut.f_reshape([batch, 3, grid, patch, grid, patch])?.f_permute([0, 2, 4, 1, 3, 5])?;
        Ok(cells.f_reshape([batch, grid * grid, 3 * patch * patch])?)
    }
}
