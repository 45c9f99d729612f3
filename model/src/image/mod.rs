//! The image tower, whole or cut open at its tokens: a ViT after its first layer norm, a ResNet before its attention pool.
//!
//! It must never normalise pixels or embeddings: callers say what they want.

mod attention_pool;
mod resnet;
mod vit;

use tch::Tensor;

use crate::clip::Clip;
use crate::config::{ModelConfig, Tower};
use crate::error::{ModelError, Result};
use crate::transformer::Named;
use resnet::ResNetTower;
use vit::VitTower;

#[derive(Debug)]
pub(crate) enum ImageTower {
    Vit(VitTower),
    ResNet(ResNetTower),
}

impl ImageTower {
    pub fn bind(config: &ModelConfig, named: &Named<'_>) -> Self {
        match config.vision.tower {
            Tower::Vit(ref vit) => Self::Vit(VitTower::bind(config, vit, named)),
            Tower::ResNet(ref resnet) => Self::ResNet(ResNetTower::bind(&config.vision, resnet, named)),
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

    /// Normalised pixels `[B, 3, S, S]` to the token sequence `[B, 1 + P, W]`, row by row after a first token.
    ///
    /// A ViT's tokens are those after `ln_pre`, the class token first. A ResNet's are the cells of its last stage with
    /// their places in the attention pool, and the first is what the pool's query has beside the mean of the cells.
    /// For ds/d(token): detach it, set requires_grad, and go on with [`Clip::encode_tokens`].
    pub fn embed_patches(&self, pixels: &Tensor) -> Result<Tensor> {
        let (side, have) = (self.config.vision.image_size, pixels.size());
        if have.len() != 4 || have[1..] != [3, side, side] {
            return Err(ModelError::WrongInput { what: "pixels", have, want: format!("[B, 3, {side}, {side}]") });
        }
        match &self.image {
            ImageTower::Vit(tower) => tower.embed(pixels),
            ImageTower::ResNet(tower) => tower.embed(pixels),
        }
    }

    /// Drops image tokens: `tokens` `[B, 1 + P, W]` from [`Clip::embed_patches`], `kept` `[B, K]` i64 patch indices
    /// in 0..P, to `[B, 1 + K, W]`. The first token stays, and kept tokens keep their positions. A ResNet's pool then takes
    /// the mean of the kept cells.
    pub fn keep_patches(&self, tokens: &Tensor, kept: &Tensor) -> Result<Tensor> {
        let (batch, _, width) = tokens.size3()?;
        let (rows, count) = kept.size2()?;
        if rows != batch {
            return Err(ModelError::WrongInput { what: "kept", have: kept.size(), want: format!("[{batch}, K]") });
        }
        let index = kept.f_add_scalar(1)?.f_unsqueeze(-1)?.f_expand([batch, count, width], false)?;
        let patches = tokens.f_gather(1, &index, false)?;
        let first = tokens.f_narrow(1, 0, 1)?;
        let first = match &self.image {
            ImageTower::Vit(_) => first,
            ImageTower::ResNet(tower) => tower.without_places(&first, &index)?,
        };
        Ok(Tensor::f_cat(&[first, patches], 1)?)
    }

    /// Tokens of [`Clip::embed_patches`] or [`Clip::keep_patches`], `[B, 1 + K, W]`, to embeddings `[B, D]`, not
    /// L2-normalised.
    pub fn encode_tokens(&self, tokens: &Tensor) -> Result<Tensor> {
        match &self.image {
            ImageTower::Vit(tower) => tower.encode(tokens),
            ImageTower::ResNet(tower) => tower.encode(tokens),
        }
    }
}
