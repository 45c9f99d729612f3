//! The causal text tower.
//!
//! It must never tokenise: rows of token ids come in.

use tch::{Kind, Tensor};

use crate::clip::Clip;
use crate::config::ModelConfig;
use crate::error::{ModelError, Result};
use crate::transformer::{Activation, Attend, Block, LayerNorm, Named, Pool, take};

#[derive(Debug)]
pub(crate) struct TextTower {
    token_embedding: Tensor,
    positional_embedding: Tensor,
    blocks: Vec<Block>,
    ln_final: LayerNorm,
    text_projection: Tensor,
}

impl TextTower {
    pub fn bind(config: &ModelConfig, named: &Named<'_>) -> Self {
        let activation = Activation::of(config.quick_gelu);
        let block =
            |layer| Block::bind(named, &format!("transformer.resblocks.{layer}"), config.text.heads, activation);
        Self {
            token_embedding: take(named, "token_embedding.weight"),
            positional_embedding: take(named, "positional_embedding"),
            blocks: (0..config.text.layers).map(block).collect(),
            ln_final: LayerNorm::bind(named, "ln_final"),
            text_projection: take(named, "text_projection"),
        }
    }
}

impl Clip {
    /// Token ids `[B, L]` i64, L at most the context length, to embeddings `[B, D]`, not L2-normalised.
    ///
    /// A row's embedding is read at its greatest id, the end of text. What follows the longest caption of the batch
    /// is cut: under a causal mask no end of text sees it, so the result is the same. Ids are best left on the CPU, where
    /// they are checked and measured without a wait for the device; they are brought to the model's.
    ///
    /// # Errors
    /// `WrongInput` for another shape, `OutOfRange` for ids that are no row of the vocabulary.
    pub fn encode_text(&self, tokens: &Tensor) -> Result<Tensor> {
        let (tokens, end) = self.checked(tokens)?;
        let x = self.embed_captions(&tokens.f_to_device(self.device())?)?;
        self.encode_captions(&x, &end.f_to_device(self.device())?)
    }

    /// Cuts the common padding; returns the rows `[B, L']` and the end-of-text positions `[B]`.
    fn checked(&self, tokens: &Tensor) -> Result<(Tensor, Tensor)> {
        let text = &self.config.text;
        let have = tokens.size();
        if have.len() != 2 || have[0] == 0 || !(1..=text.context_length).contains(&have[1]) {
            let want = format!("[B, L] with B at least 1 and L from 1 to {}", text.context_length);
            return Err(ModelError::WrongInput { what: "tokens", have, want });
        }
        let (least, greatest) = (tokens.f_min()?.f_int64_value(&[])?, tokens.f_max()?.f_int64_value(&[])?);
        if least < 0 || greatest >= text.vocab_size {
            let want = format!("0 to {}", text.vocab_size - 1);
            return Err(ModelError::OutOfRange { what: "token ids", have: format!("{least} to {greatest}"), want });
        }
        let end = tokens.f_argmax(1, false)?;
        let length = end.f_max()?.f_int64_value(&[])? + 1;
        Ok((tokens.f_narrow(1, 0, length)?, end))
    }

    fn embed_captions(&self, tokens: &Tensor) -> Result<Tensor> {
        let (_, length) = tokens.size2()?;
        let ids = tokens.f_to_kind(Kind::Int64)?;
        let words = Tensor::f_embedding(&self.text.token_embedding, &ids, -1, false, false)?;
        Ok(words.f_add(&self.text.positional_embedding.f_narrow(0, 0, length)?)?)
    }

    fn encode_captions(&self, x: &Tensor, end: &Tensor) -> Result<Tensor> {
        let tower = &self.text;
        let Some((last, first)) = tower.blocks.split_last() else {
            return Err(ModelError::Config("the text tower has no layers".into()));
        };
        let mut x = x.shallow_clone();
        for block in first {
            x = block.forward(&x, Attend::Causal)?;
        }
        let pooled = last.forward_pooled(&x, Pool::At(end))?.f_squeeze_dim(1)?;
        Ok(tower.ln_final.forward(&pooled)?.f_matmul(&tower.text_projection)?)
    }
}
