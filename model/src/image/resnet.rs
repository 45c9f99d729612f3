//! OpenCLIP's ModifiedResNet: three convolutions, four stages of bottlenecks that shrink by averaging, an attention pool.
//!
//! It must never update a batch norm's statistics: they stay as they came, in training too.

use tch::Tensor;

use super::attention_pool::AttentionPool;
use crate::config::{ResNet, VisionConfig};
use crate::error::Result;
use crate::layout::{Bottleneck, bottlenecks};
use crate::transformer::{Named, take};

/// PyTorch's default, which OpenCLIP keeps.
const BATCH_NORM_EPS: f64 = 1e-5;

#[derive(Debug)]
pub(crate) struct ResNetTower {
    stem: [Convolution; 3],
    blocks: Vec<Block>,
    pool: AttentionPool,
}

impl ResNetTower {
    pub fn bind(vision: &VisionConfig, resnet: &ResNet, named: &Named<'_>) -> Self {
        let stem = |number: usize| Convolution::bind(named, "visual", number);
        Self {
            stem: [stem(1), stem(2), stem(3)],
            blocks: bottlenecks(vision.width, resnet).iter().map(|block| Block::bind(named, block)).collect(),
            pool: AttentionPool::bind(vision.heads, named),
        }
    }

    /// `[B, 3, S, S]` to the attention pool's tokens, `[B, 1 + P, W]`.
    pub fn embed(&self, pixels: &Tensor) -> Result<Tensor> {
        let [first, second, third] = &self.stem;
        let x = first.forward(pixels, 2)?.f_relu()?;
        let x = second.forward(&x, 1)?.f_relu()?;
        let mut x = averaged(&third.forward(&x, 1)?.f_relu()?, 2)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        self.pool.tokens(&x)
    }

    /// `[B, 1 + K, W]` to `[B, D]`.
    pub fn encode(&self, tokens: &Tensor) -> Result<Tensor> {
        self.pool.forward(tokens)
    }

    /// The first token when only the cells of `index` are kept.
    pub fn without_places(&self, first: &Tensor, index: &Tensor) -> Result<Tensor> {
        self.pool.first_of(first, index)
    }
}

/// A convolution without bias, and the batch norm after it.
#[derive(Debug)]
struct Convolution {
    kernel: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
}

impl Convolution {
    /// The layer's `conv1` with its `bn1`, and so on.
    fn bind(named: &Named<'_>, prefix: &str, number: usize) -> Self {
        Self::named(named, &format!("{prefix}.conv{number}"), &format!("{prefix}.bn{number}"))
    }

    fn named(named: &Named<'_>, convolution: &str, norm: &str) -> Self {
        let norm = |part: &str| take(named, &format!("{norm}.{part}"));
        Self {
            kernel: take(named, &format!("{convolution}.weight")),
            weight: norm("weight"),
            bias: norm("bias"),
            mean: norm("running_mean"),
            variance: norm("running_var"),
        }
    }

    /// Padded so that a stride of 1 keeps the side.
    fn forward(&self, x: &Tensor, stride: i64) -> Result<Tensor> {
        let padding = self.kernel.size4()?.2 / 2;
        let x = x.f_conv2d(&self.kernel, None::<&Tensor>, [stride; 2], [padding; 2], [1, 1], 1)?;
        let (weight, bias) = (Some(&self.weight), Some(&self.bias));
        Ok(x.f_batch_norm(weight, bias, Some(&self.mean), Some(&self.variance), false, 0.0, BATCH_NORM_EPS, true)?)
    }
}

#[derive(Debug)]
struct Block {
    first: Convolution,
    second: Convolution,
    third: Convolution,
    shortcut: Option<Convolution>,
    stride: i64,
}

impl Block {
    fn bind(named: &Named<'_>, block: &Bottleneck) -> Self {
        let prefix = block.prefix.as_str();
        let shortcut =
            || Convolution::named(named, &format!("{prefix}.downsample.0"), &format!("{prefix}.downsample.1"));
        Self {
            first: Convolution::bind(named, prefix, 1),
            second: Convolution::bind(named, prefix, 2),
            third: Convolution::bind(named, prefix, 3),
            shortcut: block.reshapes().then(shortcut),
            stride: block.stride,
        }
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let inside = self.first.forward(x, 1)?.f_relu()?;
        let inside = averaged(&self.second.forward(&inside, 1)?.f_relu()?, self.stride)?;
        let inside = self.third.forward(&inside, 1)?;
        let around = match &self.shortcut {
            Some(shortcut) => shortcut.forward(&averaged(x, self.stride)?, 1)?,
            None => x.shallow_clone(),
        };
        Ok(inside.f_add(&around)?.f_relu()?)
    }
}

/// The mean of squares of `side` pixels, which shrinks without aliasing.
fn averaged(x: &Tensor, side: i64) -> Result<Tensor> {
    if side == 1 {
        return Ok(x.shallow_clone());
    }
    Ok(x.f_avg_pool2d([side; 2], [side; 2], [0, 0], false, true, None)?)
}
