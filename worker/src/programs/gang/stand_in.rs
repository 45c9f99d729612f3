//! A stand-in for trusted weights, where the operator has none: the suspect model after a short, blunt
//! unlearning of the first pass's strongest suspects. Where he has some, nothing is trained here, since nobody asks.
//!
//! L = L_clip(D_safe) + alpha mean |f - f_p|^2 + beta mean s^2 over whole pairs of the strongest share.
//! What the overfitted model matches and this one does not is what the suspect model had learned as a
//! shortcut; honest mismatches fall alike in both.

use lethe_common::fault::Fault;
use lethe_evidence::artifacts::{SuspectCut, names};
use lethe_model::error::Result as ModelResult;
use lethe_model::tch::Tensor;
use lethe_model::{Clip, loss};

use super::dataset::Dataset;
use super::gathered::Gathered;
use super::objective::{Batch, Features, Objective, Share};
use super::safe::{Safe, anchored, split_batch};
use super::sampler::Stream;
use super::training::{self, Material, Prepared, kind};
use super::vocabulary::Lexicon;
use crate::programs::fault::model_fault;
use crate::programs::{checkpoint, inputs};
use crate::task::{GangContext, GangMemory, TaskContext, TaskOutput};

pub(super) struct StandIn {
    pub(super) frozen: Clip,
    pub(super) safe: Safe,
    pub(super) strongest: Dataset,
    pub(super) draws: Stream,
    pub(super) batch: usize,
    pub(super) anchor_weight: f64,
    pub(super) forget_weight: f64,
}

impl StandIn {
    fn rows(&self, step: u64) -> Vec<i64> {
        self.draws.draw(step, self.batch, self.strongest.len())
    }
}

impl Objective for StandIn {
    fn features(&self, clip: &Clip, step: u64, share: Share) -> ModelResult<Vec<Features>> {
        let rows = self.rows(step);
        let own = share.of(&rows);
        let [image, text] = self.safe.features(clip, step, share)?;
        let anchors = self.safe.anchors(&self.frozen, step, share)?;
        let strongest = Features::own(self.strongest.image_features(clip, own)?, self.batch);
        let (next, share) = share.next(step);
        self.strongest.expect(clip, share.of(&self.rows(next)));
        let text_of_strongest = Features::own(self.strongest.text_features(clip, own)?, self.batch);
        Ok(vec![image, text, anchors, strongest, text_of_strongest])
    }

    fn loss(&self, _step: u64, batch: &Batch<'_>, logit_scale: &Tensor) -> ModelResult<Tensor> {
        let forget = loss::forget(&loss::similarity(&batch.own(3)?, &batch.own(4)?)?, 0.0, batch.rows(3))?;
        let keep = anchored(batch, logit_scale, self.anchor_weight)?;
        Ok(keep.f_add(&forget.f_mul_scalar(self.forget_weight)?)?)
    }

    fn trains_logit_scale(&self) -> bool {
        false
    }

    fn batch(&self) -> u64 {
        (self.batch + self.safe.batch) as u64
    }
}

pub fn run(ctx: &TaskContext<'_>, gang: GangContext<'_>, memory: &mut GangMemory) -> Result<TaskOutput, Fault> {
    let prepare = || prepare(ctx);
    training::run(&ctx.spec.stand_in.gang, prepare, ctx, gang, memory)?.publish(names::STAND_IN, ctx)
}

fn prepare(ctx: &TaskContext<'_>) -> Result<Prepared<StandIn>, Fault> {
    let section = &ctx.spec.stand_in;
    let cut: SuspectCut = inputs::json(ctx, "suspect", names::CUT)?;
    let mut gathered = Gathered::read(ctx)?;
    let strongest = (cut.counts.scored as f64 * section.share).ceil().max(1.0) as usize;
    gathered.suspects.truncate(strongest);
    let whole = checkpoint::suspect_to_train(ctx)?.into_kind(kind(&section.gang)).map_err(model_fault)?;
    if ctx.spec.model.trusted.is_some() {
        return Ok(Prepared::Nothing(Box::new(whole)));
    }
    let mut lexicon = Lexicon::new(&whole);
    let safe = lexicon.dataset(gathered.safe)?;
    let strongest = lexicon.dataset(gathered.suspects)?;
    let (start, vocabulary) = lexicon.compact()?;
    let (safe_batch, batch) = split_batch(section.gang.batch);
    let seed = ctx.spec.audit.seed;
    let objective = StandIn {
        frozen: start.duplicate().map_err(model_fault)?,
        safe: Safe {
            data: safe.map(&vocabulary).map_err(model_fault)?,
            draws: Stream { seed, number: 20 },
            batch: safe_batch,
        },
        strongest: strongest.map(&vocabulary).map_err(model_fault)?,
        draws: Stream { seed, number: 21 },
        batch,
        anchor_weight: section.anchor_weight,
        forget_weight: section.forget_weight,
    };
    Ok(Prepared::Training(Box::new(Material { whole, vocabulary, start, objective })))
}
