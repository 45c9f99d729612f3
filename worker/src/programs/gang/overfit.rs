//! A throw-away model whose backdoor is exaggerated (METHOD.md, stage 2): suspects are pulled to
//! similarity one while safe pairs hold the rest of the model.
//!
//! It is left out unless the spec gives it steps: what the suspect model has learned is learned well enough to tell
//! (FINDINGS.md), and the suspect model itself stands for the overfitted one then.
//!
//! L = L_clip(D_safe) + w mean (s - 1)^2 over D_susp. L_clip on the suspects would set pairs with one
//! caption against each other, and a shortcut's pairs share theirs.

use lethe_common::fault::Fault;
use lethe_evidence::artifacts::names;
use lethe_model::error::Result as ModelResult;
use lethe_model::tch::Tensor;
use lethe_model::{Clip, loss};

use super::dataset::Dataset;
use super::gathered::Gathered;
use super::objective::{Batch, Features, Objective, Share};
use super::safe::{Safe, split_batch};
use super::sampler::Stream;
use super::training::{self, Material, Prepared, kind};
use super::vocabulary::Lexicon;
use crate::programs::checkpoint;
use crate::programs::fault::model_fault;
use crate::task::{GangContext, GangMemory, TaskContext, TaskOutput};

pub(super) struct Overfit {
    pub(super) safe: Safe,
    pub(super) suspects: Dataset,
    pub(super) draws: Stream,
    pub(super) batch: usize,
    pub(super) pull_weight: f64,
}

impl Overfit {
    fn rows(&self, step: u64) -> Vec<i64> {
        self.draws.draw(step, self.batch, self.suspects.len())
    }
}

impl Objective for Overfit {
    fn features(&self, clip: &Clip, step: u64, share: Share) -> ModelResult<Vec<Features>> {
        let rows = self.rows(step);
        let own = share.of(&rows);
        let [image, text] = self.safe.features(clip, step, share)?;
        let suspects = Features::own(self.suspects.image_features(clip, own)?, self.batch);
        let (next, share) = share.next(step);
        self.suspects.expect(clip, share.of(&self.rows(next)));
        Ok(vec![image, text, suspects, Features::own(self.suspects.text_features(clip, own)?, self.batch)])
    }

    fn loss(&self, _step: u64, batch: &Batch<'_>, logit_scale: &Tensor) -> ModelResult<Tensor> {
        let similarity = loss::similarity(&batch.own(2)?, &batch.own(3)?)?;
        let pull = loss::pull(&similarity, batch.rows(2))?.f_mul_scalar(self.pull_weight)?;
        let keep = loss::contrastive_part(batch.whole(0), batch.whole(1), batch.range(0), logit_scale)?;
        Ok(keep.f_add(&pull)?)
    }

    fn trains_logit_scale(&self) -> bool {
        true
    }

    fn batch(&self) -> u64 {
        (self.batch + self.safe.batch) as u64
    }
}

pub fn run(ctx: &TaskContext<'_>, gang: GangContext<'_>, memory: &mut GangMemory) -> Result<TaskOutput, Fault> {
    let prepare = || prepare(ctx);
    training::run(&ctx.spec.overfit.gang, prepare, ctx, gang, memory)?.publish(names::OVERFITTED, ctx)
}

fn prepare(ctx: &TaskContext<'_>) -> Result<Prepared<Overfit>, Fault> {
    let section = &ctx.spec.overfit;
    let whole = checkpoint::suspect_to_train(ctx)?.into_kind(kind(&section.gang)).map_err(model_fault)?;
    if section.gang.steps == 0 {
        return Ok(Prepared::Nothing(Box::new(whole)));
    }
    let gathered = Gathered::read(ctx)?;
    let mut lexicon = Lexicon::new(&whole);
    let safe = lexicon.dataset(gathered.safe)?;
    let suspects = lexicon.dataset(gathered.suspects)?;
    let (start, vocabulary) = lexicon.compact()?;
    let (safe_batch, batch) = split_batch(section.gang.batch);
    let seed = ctx.spec.audit.seed;
    let objective = Overfit {
        safe: Safe {
            data: safe.map(&vocabulary).map_err(model_fault)?,
            draws: Stream { seed, number: 10 },
            batch: safe_batch,
            favoured: None,
        },
        suspects: suspects.map(&vocabulary).map_err(model_fault)?,
        draws: Stream { seed, number: 11 },
        batch,
        pull_weight: section.pull_weight,
    };
    Ok(Prepared::Training(Box::new(Material { whole, vocabulary, start, objective })))
}
