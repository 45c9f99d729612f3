//! The pre-norm residual attention block that both towers are made of.
//!
//! It must never know pixels or captions: token sequences `[B, L, W]` in, token sequences out.

use std::collections::BTreeMap;

use tch::Tensor;

use crate::error::Result;

/// PyTorch's default, which OpenCLIP keeps.
const LAYER_NORM_EPS: f64 = 1e-5;

pub(crate) type Named<'a> = BTreeMap<&'a str, &'a Tensor>;

/// A parameter by name; the layout lists every name that the towers bind.
pub(crate) fn take(named: &Named<'_>, name: &str) -> Tensor {
    named[name].shallow_clone()
}

/// Which earlier tokens a token sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attend {
    All,
    Causal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    Gelu,
    QuickGelu,
}

impl Activation {
    pub fn of(quick_gelu: bool) -> Self {
        if quick_gelu { Self::QuickGelu } else { Self::Gelu }
    }

    fn apply(self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Gelu => x.f_gelu("none")?,
            Self::QuickGelu => x.f_mul(&x.f_mul_scalar(1.702)?.f_sigmoid()?)?,
        })
    }
}

#[derive(Debug)]
pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
}

impl LayerNorm {
    pub fn bind(named: &Named<'_>, prefix: &str) -> Self {
        Self { weight: take(named, &format!("{prefix}.weight")), bias: take(named, &format!("{prefix}.bias")) }
    }

    /// Over the last dimension.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let width = self.weight.numel() as i64;
        Ok(x.f_layer_norm(width, Some(&self.weight), Some(&self.bias), LAYER_NORM_EPS, true)?)
    }
}

#[derive(Debug)]
pub(crate) struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    pub fn bind(named: &Named<'_>, prefix: &str) -> Self {
        Self { weight: take(named, &format!("{prefix}.weight")), bias: take(named, &format!("{prefix}.bias")) }
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_linear(&self.weight, Some(&self.bias))?)
    }
}

/// x + attention(ln_1 x), then that + mlp(ln_2 that).
#[derive(Debug)]
pub(crate) struct Block {
    ln_1: LayerNorm,
    /// Query, key and value stacked: `[3 W, W]` and `[3 W]`.
    in_proj: Linear,
    out_proj: Linear,
    ln_2: LayerNorm,
    c_fc: Linear,
    c_proj: Linear,
    heads: i64,
    activation: Activation,
}

impl Block {
    pub fn bind(named: &Named<'_>, prefix: &str, heads: i64, activation: Activation) -> Self {
        let in_proj = Linear {
            weight: take(named, &format!("{prefix}.attn.in_proj_weight")),
            bias: take(named, &format!("{prefix}.attn.in_proj_bias")),
        };
        Self {
            ln_1: LayerNorm::bind(named, &format!("{prefix}.ln_1")),
            in_proj,
            out_proj: Linear::bind(named, &format!("{prefix}.attn.out_proj")),
            ln_2: LayerNorm::bind(named, &format!("{prefix}.ln_2")),
            c_fc: Linear::bind(named, &format!("{prefix}.mlp.c_fc")),
            c_proj: Linear::bind(named, &format!("{prefix}.mlp.c_proj")),
            heads,
            activation,
        }
    }

    /// `[B, L, W]` to `[B, L, W]`.
    pub fn forward(&self, x: &Tensor, attend: Attend) -> Result<Tensor> {
        let qkv = self.in_proj.forward(&self.ln_1.forward(x)?)?.f_chunk(3, -1)?;
        let (query, key, value) = (self.split(&qkv[0])?, self.split(&qkv[1])?, self.split(&qkv[2])?);
        let causal = attend == Attend::Causal;
        let context = attention(&query, &key, &value, None, causal)?;
        self.finish(x, &context)
    }

    /// The block's output at one position a row, `[B, 1, W]`: exact, since no later block reads the others.
    ///
    /// `position` is `[B]` i64 for causal rows (a row's tokens after it are not seen), or the first token of all rows.
    pub fn forward_pooled(&self, x: &Tensor, pool: Pool<'_>) -> Result<Tensor> {
        let normed = self.ln_1.forward(x)?;
        let width = x.size3()?.2;
        let at = pool.select(x)?;
        let (w, b) = (&self.in_proj.weight, &self.in_proj.bias);
        let query = pool.select(&normed)?.f_linear(&w.f_narrow(0, 0, width)?, Some(&b.f_narrow(0, 0, width)?))?;
        let rest = normed.f_linear(&w.f_narrow(0, width, 2 * width)?, Some(&b.f_narrow(0, width, 2 * width)?))?;
        let pair = rest.f_chunk(2, -1)?;
        let mask = pool.mask(x)?;
        let context =
            attention(&self.split(&query)?, &self.split(&pair[0])?, &self.split(&pair[1])?, mask.as_ref(), false)?;
        self.finish(&at, &context)
    }

    fn split(&self, x: &Tensor) -> Result<Tensor> {
        split_heads(x, self.heads)
    }

    fn finish(&self, x: &Tensor, context: &Tensor) -> Result<Tensor> {
        let merged = context.f_transpose(1, 2)?.f_flatten(2, 3)?;
        let x = x.f_add(&self.out_proj.forward(&merged)?)?;
        let hidden = self.activation.apply(&self.c_fc.forward(&self.ln_2.forward(&x)?)?)?;
        Ok(x.f_add(&self.c_proj.forward(&hidden)?)?)
    }
}

/// `[B, L, W]` to `[B, heads, L, W / heads]`.
pub(crate) fn split_heads(x: &Tensor, heads: i64) -> Result<Tensor> {
    let (batch, length, width) = x.size3()?;
    Ok(x.f_view([batch, length, heads, width / heads])?.f_transpose(1, 2)?)
}

/// Each query's mean of the values, weighed by how well their keys match it.
pub(crate) fn attention(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    mask: Option<&Tensor>,
    causal: bool,
) -> Result<Tensor> {
    Ok(Tensor::f_scaled_dot_product_attention(query, key, value, mask, 0.0, causal, None, false)?)
}

/// The one position of a row that becomes its embedding.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pool<'a> {
    /// The class token.
    First,
    /// The end-of-text position of each row, `[B]` i64, under a causal mask.
    At(&'a Tensor),
}

impl Pool<'_> {
    /// `[B, L, W]` to `[B, 1, W]`.
    fn select(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::First => Ok(x.f_narrow(1, 0, 1)?),
            Self::At(position) => {
                let (batch, _, width) = x.size3()?;
                let index = position.f_view([batch, 1, 1])?.f_expand([batch, 1, width], false)?;
                Ok(x.f_gather(1, &index, false)?)
            }
        }
    }

    /// True where a key is seen, `[B, 1, 1, L]`.
    fn mask(self, x: &Tensor) -> Result<Option<Tensor>> {
        match self {
            Self::First => Ok(None),
            Self::At(position) => {
                let (batch, length, _) = x.size3()?;
                let keys = Tensor::f_arange(length, (tch::Kind::Int64, x.device()))?.f_view([1, 1, 1, length])?;
                Ok(Some(keys.f_le_tensor(&position.f_view([batch, 1, 1, 1])?)?))
            }
        }
    }
}
