//! The attention pool of a ResNet: the mean of the cells asks, the mean and the cells answer.
//!
//! It must never compute what the pool throws away: only the first row of the attention is an embedding.

use tch::Tensor;

use crate::error::Result;
use crate::transformer::{Linear, Named, attention, split_heads, take};

#[derive(Debug)]
pub(super) struct AttentionPool {
    /// `[1 + P, W]`, the query's place first.
    positional_embedding: Tensor,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    heads: i64,
}

impl AttentionPool {
    pub fn bind(heads: i64, named: &Named<'_>) -> Self {
        let linear = |name: &str| Linear::bind(named, &format!("visual.attnpool.{name}"));
        Self {
            positional_embedding: take(named, "visual.attnpool.positional_embedding"),
            query: linear("q_proj"),
            key: linear("k_proj"),
            value: linear("v_proj"),
            output: linear("c_proj"),
            heads,
        }
    }

    /// Cells `[B, W, g, g]` to tokens `[B, 1 + P, W]`: a first one, then the cells with their places.
    ///
    /// The query is mean(cells) + place 0. Written with the tokens, cell + place, it is their mean plus a first token of
    /// place 0 - mean(places): so a slope at a token counts its way through the mean, and cells can be dropped.
    pub fn tokens(&self, cells: &Tensor) -> Result<Tensor> {
        let cells = cells.f_flatten(2, 3)?.f_transpose(1, 2)?;
        let (batch, count, width) = cells.size3()?;
        let places = self.positional_embedding.f_narrow(0, 1, count)?;
        let own = self.positional_embedding.f_narrow(0, 0, 1)?;
        let first = own.f_sub(&mean(&places, 0)?)?.f_expand([batch, 1, width], false)?;
        Ok(Tensor::f_cat(&[first, cells.f_add(&places)?], 1)?)
    }

    /// The first token, `[B, 1, W]`, when of the tokens only those of `index`, `[B, K, W]` counted from 1, are kept.
    pub fn first_of(&self, first: &Tensor, index: &Tensor) -> Result<Tensor> {
        let (batch, _, width) = index.size3()?;
        let (count, _) = self.positional_embedding.size2()?;
        let all = self.positional_embedding.f_expand([batch, count, width], false)?;
        let kept = mean(&all.f_gather(1, index, false)?, 1)?;
        Ok(first.f_add(&mean(&self.positional_embedding.f_narrow(0, 1, count - 1)?, 0)?)?.f_sub(&kept)?)
    }

    /// `[B, 1 + K, W]` to `[B, D]`.
    pub fn forward(&self, tokens: &Tensor) -> Result<Tensor> {
        let cells = tokens.f_narrow(1, 1, tokens.size3()?.1 - 1)?;
        let asks = tokens.f_narrow(1, 0, 1)?.f_add(&mean(&cells, 1)?)?;
        let answers = Tensor::f_cat(&[&asks, &cells], 1)?;
        let heads = |x: Tensor| split_heads(&x, self.heads);
        let (query, key) = (heads(self.query.forward(&asks)?)?, heads(self.key.forward(&answers)?)?);
        let context = attention(&query, &key, &heads(self.value.forward(&answers)?)?, None, false)?;
        self.output.forward(&context.f_transpose(1, 2)?.f_flatten(1, 3)?)
    }
}

fn mean(x: &Tensor, dimension: i64) -> Result<Tensor> {
    Ok(x.f_mean_dim([dimension].as_slice(), true, x.kind())?)
}
