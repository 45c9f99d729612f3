//! The ViT image tower, whole or cut open after its first layer norm.
//!
//! It must never normalise pixels or embeddings: callers say what they want.

use tch::Tensor;

use crate::clip::Clip;
use crate::config::ModelConfig;
use crate::error::{ModelError, Result};
use crate::transformer::{Activation, Attend, Block, LayerNorm, Named, Pool, take};

#[derive(Debug)]
pub(crate) struct ImageTower {
    conv1: Tensor,
    class_embedding: Tensor,
    positional_embedding: Tensor,
    ln_pre: LayerNorm,
    blocks: Vec<Block>,
    ln_post: LayerNorm,
    proj: Tensor,
}

impl ImageTower {
    pub fn bind(config: &ModelConfig, named: &Named<'_>) -> Self {
        let activation = Activation::of(config.quick_gelu);
        let block = |layer| {
            Block::bind(named, &format!("visual.transformer.resblocks.{layer}"), config.vision.heads, activation)
        };
        Self {
            conv1: take(named, "visual.conv1.weight"),
            class_embedding: take(named, "visual.class_embedding"),
            positional_embedding: take(named, "visual.positional_embedding"),
            ln_pre: LayerNorm::bind(named, "visual.ln_pre"),
            blocks: (0..config.vision.layers).map(block).collect(),
            ln_post: LayerNorm::bind(named, "visual.ln_post"),
            proj: take(named, "visual.proj"),
        }
    }
}

impl Clip {
    /// Normalised pixels `[B, 3, S, S]` f32 to embeddings `[B, D]`, not L2-normalised.
    ///
    /// # Errors
    /// `WrongInput` where the side is not the config's.
    pub fn encode_image(&self, pixels: &Tensor) -> Result<Tensor> {
        self.encode_tokens(&self.embed_patches(pixels)?)
    }

    /// Normalised pixels `[B, 3, S, S]` to the token sequence after `ln_pre`, `[B, 1 + P, W]`: the class token, then
    /// the patches row by row.
    ///
    /// For ds/d(token): detach it, set requires_grad, and go on with [`Clip::encode_tokens`].
    pub fn embed_patches(&self, pixels: &Tensor) -> Result<Tensor> {
        let patches = self.patches(pixels)?;
        let (batch, _, _) = patches.size3()?;
        let tower = &self.image;
        let width = self.config.vision.width;
        let tokens = patches.f_linear(&tower.conv1.f_view([width, -1])?, None::<&Tensor>)?;
        let class = tower.class_embedding.f_expand([batch, 1, width], false)?;
        let tokens = Tensor::f_cat(&[class, tokens], 1)?.f_add(&tower.positional_embedding)?;
        tower.ln_pre.forward(&tokens)
    }

    /// Drops image tokens: `tokens` `[B, 1 + P, W]` from [`Clip::embed_patches`], `kept` `[B, K]` i64 patch indices
    /// in 0..P, to `[B, 1 + K, W]`. The class token stays, and kept tokens keep their positions.
    pub fn keep_patches(&self, tokens: &Tensor, kept: &Tensor) -> Result<Tensor> {
        let (batch, _, width) = tokens.size3()?;
        let (rows, count) = kept.size2()?;
        if rows != batch {
            return Err(ModelError::WrongInput { what: "kept", have: kept.size(), want: format!("[{batch}, K]") });
        }
        let index = kept.f_add_scalar(1)?.f_unsqueeze(-1)?.f_expand([batch, count, width], false)?;
        let patches = tokens.f_gather(1, &index, false)?;
        Ok(Tensor::f_cat(&[tokens.f_narrow(1, 0, 1)?, patches], 1)?)
    }

    /// Tokens after `ln_pre`, the class token first, `[B, 1 + K, W]`, to embeddings `[B, D]`, not L2-normalised.
    pub fn encode_tokens(&self, tokens: &Tensor) -> Result<Tensor> {
        let tower = &self.image;
        let Some((last, first)) = tower.blocks.split_last() else {
            return Err(ModelError::Config("the image tower has no layers".into()));
        };
        let mut x = tokens.shallow_clone();
        for block in first {
            x = block.forward(&x, Attend::All)?;
        }
        let pooled = last.forward_pooled(&x, Pool::First)?.f_squeeze_dim(1)?;
        Ok(tower.ln_post.forward(&pooled)?.f_matmul(&tower.proj)?)
    }

    /// `[B, 3, S, S]` to `[B, P, 3 p p]`: a convolution whose stride is its kernel is a matrix product over patches.
    fn patches(&self, pixels: &Tensor) -> Result<Tensor> {
        let vision = &self.config.vision;
        let (side, patch, grid) = (vision.image_size, vision.patch_size, vision.grid());
        let have = pixels.size();
        if have.len() != 4 || have[1..] != [3, side, side] {
            return Err(ModelError::WrongInput { what: "pixels", have, want: format!("[B, 3, {side}, {side}]") });
        }
        let cut = pixels.f_narrow(2, 0, grid * patch)?.f_narrow(3, 0, grid * patch)?;
        let cells = cut.f_reshape([have[0], 3, grid, patch, grid, patch])?.f_permute([0, 2, 4, 1, 3, 5])?;
        Ok(cells.f_reshape([have[0], grid * grid, 3 * patch * patch])?)
    }
}
