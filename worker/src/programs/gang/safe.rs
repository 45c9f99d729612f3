//! The part that overfitting, the stand-in and unlearning share: L_clip on safe pairs, and the anchor
//! that keeps their features near the frozen suspect model's.

use lethe_model::error::Result;
use lethe_model::tch::{self, Tensor};
use lethe_model::{Clip, loss};

use super::dataset::Dataset;
use super::objective::{Batch, Features, Share};
use super::sampler::Stream;

/// Safe pairs, drawn with replacement.
pub struct Safe {
    pub data: Dataset,
    pub draws: Stream,
    pub batch: usize,
    /// Pairs that a part of each batch is drawn from, beside what is drawn from all.
    pub favoured: Option<Favoured>,
}

/// What must not be forgotten with the rest.
pub struct Favoured {
    pub rows: Vec<i64>,
    pub draws: Stream,
    /// Of each batch.
    pub count: usize,
}

impl Safe {
    pub fn rows(&self, step: u64) -> Vec<i64> {
        let Some(Favoured { rows, draws, count }) = &self.favoured else {
            return self.draws.draw(step, self.batch, self.data.len());
        };
        let drawn = draws.draw(step, *count, rows.len()).into_iter().map(|at| rows[at as usize]);
        let others = self.draws.draw(step, self.batch - count, self.data.len());
        drawn.chain(others).collect()
    }

    /// Images, then texts, `[batch, D]` each.
    pub fn features(&self, clip: &Clip, step: u64, share: Share) -> Result<[Features; 2]> {
        let rows = self.rows(step);
        let own = share.of(&rows);
        let image = Features::shared(self.data.image_features(clip, own)?, self.batch);
        let (next, share) = share.next(step);
        self.data.expect(clip, share.of(&self.rows(next)));
        Ok([image, Features::shared(self.data.text_features(clip, own)?, self.batch)])
    }

    /// The frozen model's features of the same images, constants.
    pub fn anchors(&self, frozen: &Clip, step: u64, share: Share) -> Result<Features> {
        let _guard = tch::no_grad_guard();
        let rows = self.rows(step);
        Ok(Features::own(self.data.image_features(frozen, share.of(&rows))?, self.batch))
    }
}

/// L_clip(D_safe) + alpha mean |f - f_p|^2 over unit image features (METHOD.md, stage 4), this rank's part. The matrices
/// are [`Safe::features`] and then [`Safe::anchors`].
pub fn anchored(batch: &Batch<'_>, logit_scale: &Tensor, alpha: f64) -> Result<Tensor> {
    let anchor = loss::drift(&batch.own(0)?, &batch.own(2)?, batch.rows(0))?.f_mul_scalar(alpha)?;
    let keep = loss::contrastive_part(batch.whole(0), batch.whole(1), batch.range(0), logit_scale)?;
    Ok(keep.f_add(&anchor)?)
}

/// A global batch is three parts safe and one part suspect, at least one of each.
pub fn split_batch(batch: u32) -> (usize, usize) {
    let suspect = (batch as usize / 4).max(1);
    (batch as usize - suspect, suspect)
}
