//! The part that overfitting, the stand-in and unlearning share: L_clip on safe pairs, and the anchor
//! that keeps their features near the frozen suspect model's.

use lethe_model::error::Result;
use lethe_model::tch::{self, Tensor};
use lethe_model::{Clip, loss};

use super::dataset::Dataset;
use super::objective::{Features, Share};
use super::sampler::Stream;

/// Safe pairs, drawn with replacement.
pub struct Safe {
    pub data: Dataset,
    pub draws: Stream,
    pub batch: usize,
}

impl Safe {
    pub fn rows(&self, step: u64) -> Vec<i64> {
        self.draws.draw(step, self.batch, self.data.len())
    }

    /// Images, then texts, `[batch, D]` each.
    pub fn features(&self, clip: &Clip, step: u64, share: Share) -> Result<[Features; 2]> {
        let rows = self.rows(step);
        let own = share.of(&rows);
        Ok([
            Features { local: self.data.image_features(clip, own)?, rows: self.batch },
            Features { local: self.data.text_features(clip, own)?, rows: self.batch },
        ])
    }

    /// The frozen model's features of the same images, constants.
    pub fn anchors(&self, frozen: &Clip, step: u64, share: Share) -> Result<Features> {
        let _guard = tch::no_grad_guard();
        let rows = self.rows(step);
        Ok(Features { local: self.data.image_features(frozen, share.of(&rows))?, rows: self.batch })
    }
}

/// L_clip(D_safe) + alpha mean |f - f_p|^2 over unit image features (METHOD.md, stage 4).
pub fn anchored(image: &Tensor, text: &Tensor, frozen: &Tensor, (scale, alpha): (&Tensor, f64)) -> Result<Tensor> {
    let anchor = loss::drift(image, frozen)?.f_mul_scalar(alpha)?;
    Ok(loss::contrastive(image, text, scale)?.f_add(&anchor)?)
}

/// A global batch is three parts safe and one part suspect, at least one of each.
pub fn split_batch(batch: u32) -> (usize, usize) {
    let suspect = (batch as usize / 4).max(1);
    (batch as usize - suspect, suspect)
}
