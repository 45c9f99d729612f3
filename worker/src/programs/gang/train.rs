//! Plain contrastive training, from fresh weights or from those that the spec names: what a drill's victim and its clean twin come from.

use lethe_common::fault::Fault;
use lethe_evidence::artifacts::names;
use lethe_model::error::Result as ModelResult;
use lethe_model::tch::Tensor;
use lethe_model::{Clip, loss};

use super::dataset::Dataset;
use super::objective::{Batch, Features, Objective, Share};
use super::sampler::Stream;
use super::training::{self, Material, Prepared, kind};
use super::vocabulary::Lexicon;
use crate::programs::fault::model_fault;
use crate::programs::{checkpoint, inputs};
use crate::task::{GangContext, GangMemory, TaskContext, TaskOutput};

/// L_clip over batches of an epoch-wise pass.
pub(super) struct Train {
    pub(super) data: Dataset,
    pub(super) order: Stream,
    pub(super) batch: usize,
}

impl Train {
    fn rows(&self, step: u64) -> Vec<i64> {
        self.order.epoch_batch(step, self.batch, self.data.len())
    }
}

impl Objective for Train {
    fn features(&self, clip: &Clip, step: u64, share: Share) -> ModelResult<Vec<Features>> {
        let rows = self.rows(step);
        let own = share.of(&rows);
        let image = Features::shared(self.data.image_features(clip, own)?, rows.len());
        let (next, share) = share.next(step);
        self.data.expect(clip, share.of(&self.rows(next)));
        Ok(vec![image, Features::shared(self.data.text_features(clip, own)?, rows.len())])
    }

    fn loss(&self, _step: u64, batch: &Batch<'_>, logit_scale: &Tensor) -> ModelResult<Tensor> {
        loss::contrastive_part(batch.whole(0), batch.whole(1), batch.range(0), logit_scale)
    }

    fn trains_logit_scale(&self) -> bool {
        true
    }

    fn batch(&self) -> u64 {
        self.batch as u64
    }
}

pub fn run(ctx: &TaskContext<'_>, gang: GangContext<'_>, memory: &mut GangMemory) -> Result<TaskOutput, Fault> {
    let prepare = || prepare(ctx);
    training::run(&ctx.spec.train.gang, prepare, ctx, gang, memory)?.publish(names::MODEL, ctx)
}

fn prepare(ctx: &TaskContext<'_>) -> Result<Prepared<Train>, Fault> {
    let section = &ctx.spec.train.gang;
    let rows: Vec<_> = inputs::all_pairs(ctx, "pack")?.into_iter().flat_map(|table| table.rows).collect();
    if rows.len() < section.batch as usize {
        return Err(Fault::fatal(format!(
            "{} samples are fewer than one batch of {}; give more shards or lower train.gang.batch",
            rows.len(),
            section.batch
        )));
    }
    let mut whole = checkpoint::fresh(ctx)?.into_kind(kind(section)).map_err(model_fault)?;
    whole.store_as_computed();
    let mut lexicon = Lexicon::new(&whole);
    let data = lexicon.dataset(rows)?;
    let (start, vocabulary) = lexicon.compact()?;
    let data = data.map(&vocabulary).map_err(model_fault)?;
    let order = Stream { seed: ctx.spec.audit.seed, number: 0 };
    let objective = Train { data, order, batch: section.batch as usize };
    Ok(Prepared::Training(Box::new(Material { whole, vocabulary, start, objective })))
}
