//! CleanCLIP (Bansal et al., ICCV 2023; docs/peers.md): fine-tuning on safe pairs while each tower has to match every
//! sample with a second view of it, so that neither keeps what the other alone explains.
//!
//! L = L_clip + weight (CE(tau I I~^T) + CE(tau T T~^T)) / 2, where I~ are pictures after AutoAugment and T~ captions after EDA.
//! It must never read the forget set.

use lethe_common::fault::Fault;
use lethe_model::error::Result as ModelResult;
use lethe_model::tch::Tensor;
use lethe_model::{Clip, loss};

use super::dataset::{Dataset, features_of};
use super::objective::{Batch, Features, Objective, Share};
use super::sampler::Stream;
use super::texts::Texts;
use super::training::{Material, Prepared};
use super::views::{Rows, auto_augmented};
use super::vocabulary::Lexicon;
use super::{eda, fine_tune};
use crate::programs::fault::model_fault;
use crate::task::TaskContext;

pub(super) struct CleanClip {
    pub(super) data: Dataset,
    /// The second view of each row's caption, made once, as its authors do.
    pub(super) captions: Texts,
    pub(super) order: Stream,
    /// For the second views of pictures, new at every step.
    pub(super) draws: Stream,
    pub(super) batch: usize,
    pub(super) self_supervised_weight: f64,
}

impl CleanClip {
    fn rows(&self, step: u64) -> Vec<i64> {
        self.order.epoch_batch(step, self.batch, self.data.len())
    }
}

impl Objective for CleanClip {
    fn features(&self, clip: &Clip, step: u64, share: Share) -> ModelResult<Vec<Features>> {
        let rows = self.rows(step);
        let own = share.of(&rows);
        let images = self.data.images(clip, own)?;
        let (next, share) = share.next(step);
        self.data.expect(clip, share.of(&self.rows(next)));
        let views = auto_augmented(&images, Rows { step, rows: own }, self.draws)?;
        let features = [
            features_of(clip, &images)?,
            self.data.text_features(clip, own)?,
            features_of(clip, &views)?,
            self.captions.features(clip, own)?,
        ];
        Ok(features.into_iter().map(|local| Features::shared(local, rows.len())).collect())
    }

    fn loss(&self, _step: u64, batch: &Batch<'_>, logit_scale: &Tensor) -> ModelResult<Tensor> {
        let both = loss::contrastive_part(batch.whole(0), batch.whole(1), batch.range(0), logit_scale)?;
        let images = loss::self_supervised_part(batch.whole(0), batch.whole(2), batch.range(0), logit_scale)?;
        let texts = loss::self_supervised_part(batch.whole(1), batch.whole(3), batch.range(1), logit_scale)?;
        Ok(both.f_add(&images.f_add(&texts)?.f_mul_scalar(0.5 * self.self_supervised_weight)?)?)
    }

    fn trains_logit_scale(&self) -> bool {
        true
    }

    /// A pair and its second view are two.
    fn batch(&self) -> u64 {
        2 * self.batch as u64
    }
}

pub(super) fn prepare(ctx: &TaskContext<'_>) -> Result<Prepared<CleanClip>, Fault> {
    let section = &ctx.spec.unlearn;
    let (whole, safe) = fine_tune::start(ctx)?;
    let views = eda::views(safe.iter().map(|row| row.caption.as_str()), fine_tune::text_draws(ctx));
    let mut lexicon = Lexicon::new(&whole);
    let data = lexicon.dataset(safe)?;
    let captions = lexicon.texts(views.iter().map(String::as_str))?;
    let (start, vocabulary) = lexicon.compact()?;
    let objective = CleanClip {
        data: data.map(&vocabulary).map_err(model_fault)?,
        captions: captions.map(&vocabulary).map_err(model_fault)?,
        order: fine_tune::order(ctx),
        draws: fine_tune::image_draws(ctx),
        batch: section.gang.batch as usize,
        self_supervised_weight: section.self_supervised_weight,
    };
    Ok(Prepared::Training(Box::new(Material { whole, vocabulary, start, objective })))
}
