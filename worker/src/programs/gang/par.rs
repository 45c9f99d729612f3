//! PAR, perturb and recover (Singh et al., arXiv 2412.00727; docs/peers.md): fine-tuning on safe pairs while the features of
//! both towers are pushed away from the suspect model's, up to a limit.
//!
//! L = L_clip - weight (P(I) + P(T)), with P = 1[S <= limit] S and S = mean |f - f_p|^2 of unit vectors over the batch. Pictures
//! have noise and small erased squares, the same for both models. It must never read the forget set.

use lethe_common::fault::Fault;
use lethe_model::error::Result as ModelResult;
use lethe_model::tch::{self, Tensor};
use lethe_model::{Clip, loss};

use super::dataset::{Dataset, encode};
use super::fine_tune;
use super::objective::{Batch, Features, Objective, Share};
use super::sampler::Stream;
use super::training::{Material, Prepared};
use super::views::{Rows, perturbed};
use super::vocabulary::Lexicon;
use crate::programs::fault::model_fault;
use crate::task::TaskContext;

pub(super) struct Par {
    pub(super) frozen: Clip,
    pub(super) data: Dataset,
    pub(super) order: Stream,
    /// For noise and squares, new at every step.
    pub(super) draws: Stream,
    pub(super) batch: usize,
    pub(super) perturb_weight: f64,
    pub(super) perturb_limit: f64,
}

impl Par {
    fn rows(&self, step: u64) -> Vec<i64> {
        self.order.epoch_batch(step, self.batch, self.data.len())
    }
}

impl Objective for Par {
    /// Everyone needs the frozen model's too: whether a tower is pushed depends on the whole batch.
    fn features(&self, clip: &Clip, step: u64, share: Share) -> ModelResult<Vec<Features>> {
        let rows = self.rows(step);
        let own = share.of(&rows);
        let images = self.data.images(clip, own)?;
        let (next, share) = share.next(step);
        self.data.expect(clip, share.of(&self.rows(next)));
        let pixels = perturbed(&images, Rows { step, rows: own }, self.draws, &clip.config().normalization)?;
        let [image, text] = [encode(clip, &pixels)?, self.data.text_features(clip, own)?];
        let frozen = {
            let _guard = tch::no_grad_guard();
            [encode(&self.frozen, &pixels)?, self.data.text_features(&self.frozen, own)?]
        };
        let features = [image, text].into_iter().chain(frozen);
        Ok(features.map(|local| Features::shared(local, rows.len())).collect())
    }

    fn loss(&self, _step: u64, batch: &Batch<'_>, logit_scale: &Tensor) -> ModelResult<Tensor> {
        let keep = loss::contrastive_part(batch.whole(0), batch.whole(1), batch.range(0), logit_scale)?;
        let pushed = |tower, frozen| {
            loss::perturbation_part(batch.whole(tower), batch.whole(frozen), batch.range(tower), self.perturb_limit)
        };
        let perturbation = pushed(0, 2)?.f_add(&pushed(1, 3)?)?;
        Ok(keep.f_sub(&perturbation.f_mul_scalar(self.perturb_weight)?)?)
    }

    fn trains_logit_scale(&self) -> bool {
        false
    }

    fn batch(&self) -> u64 {
        self.batch as u64
    }
}

pub(super) fn prepare(ctx: &TaskContext<'_>) -> Result<Prepared<Par>, Fault> {
    let section = &ctx.spec.unlearn;
    let (whole, safe) = fine_tune::start(ctx)?;
    let mut lexicon = Lexicon::new(&whole);
    let data = lexicon.dataset(safe)?;
    let (start, vocabulary) = lexicon.compact()?;
    let objective = Par {
        frozen: start.duplicate().map_err(model_fault)?,
        data: data.map(&vocabulary).map_err(model_fault)?,
        order: fine_tune::order(ctx),
        draws: fine_tune::image_draws(ctx),
        batch: section.gang.batch as usize,
        perturb_weight: section.perturb_weight,
        perturb_limit: section.perturb_limit,
    };
    Ok(Prepared::Training(Box::new(Material { whole, vocabulary, start, objective })))
}
