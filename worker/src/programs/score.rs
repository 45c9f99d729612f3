//! One shard's signals and first-pass score: one Parquet file and one small mergeable digest.
//!
//! It must never depend on another shard but through the reference set, so that scores are bit-identical
//! whatever fails, nor hold more of its own shard than a batch and a row group.

use std::rc::Rc;

use lethe_common::fault::Fault;
use lethe_data::Decoded;
use lethe_evidence::SignalRow;
use lethe_evidence::artifacts::{ShardEntry, Shards, columns};
use lethe_model::Clip;
use lethe_model::tch::Tensor;

use super::early::Early;
use super::fault::model_fault;
use super::observe::Observed;
use super::reference::{Bank, name_of};
use super::scored::Scored;
use super::shard::Batches;
use super::suspicion::{Calibration, Others, Signals};
use super::tensors::torch;
use super::trusted::gain;
use super::{checkpoint, inputs};
use crate::task::{Counts, TaskContext, TaskOutput};

pub fn run(ctx: &TaskContext<'_>) -> Result<TaskOutput, Fault> {
    let (shards, entry) = inputs::shard_entry(ctx, ctx.task.shard)?;
    let clip = checkpoint::suspect(ctx)?;
    let (trusted, early) = (checkpoint::trusted(ctx)?, checkpoint::early(ctx)?);
    let (detector, seed) = (ctx.spec.score.detector, ctx.spec.audit.seed);
    let calibration = ctx.kept.get("calibration", || Calibration::of(&Bank::read(ctx)?, detector, seed))?;
    let scorer = Scorer { clip, trusted, early, calibration, shards, entry };
    let mut batches = Batches::of_own(ctx, ctx.batch())?;
    let mut scored = Scored::begin(ctx, scorer.names())?;
    while let Some(pairs) = batches.next() {
        ctx.stop_if_cancelled()?;
        scorer.score(&pairs)?.into_iter().try_for_each(|row| scored.push(row))?;
        (ctx.progress)(batches.counts.read, 0);
    }
    batches.whole()?;
    let (counts, waited_ms) = (batches.counts, batches.waited.as_millis() as u64);
    let outputs = scored.finish(counts, batches.bad)?;
    let counts = Counts { read: counts.read, scored: counts.scored, failed: counts.failed };
    Ok(TaskOutput { outputs, counts, waited_ms })
}

struct Scorer {
    clip: Rc<Clip>,
    trusted: Option<Rc<Clip>>,
    early: Option<Rc<Clip>>,
    calibration: Rc<Calibration>,
    shards: Rc<Shards>,
    entry: ShardEntry,
}

impl Scorer {
    fn names(&self) -> Vec<String> {
        let trusted = self.trusted.is_some().then_some(Signals::TRUSTED);
        let early = self.early.is_some().then_some(Signals::EARLY);
        let names = Signals::NAMES.into_iter().chain(trusted).chain(early).chain([columns::SUSPICION]);
        names.map(str::to_owned).collect()
    }

    fn score(&self, pairs: &[Decoded]) -> Result<Vec<SignalRow>, Fault> {
        let observed = Observed::of(&self.clip, pairs).map_err(model_fault)?;
        let gain = self.trusted.as_ref().map(|trusted| gain(trusted, pairs, &observed.similarity)).transpose()?;
        let early = self.early.as_ref().map(|early| by_early(early, pairs)).transpose()?;
        let names = pairs.iter().flat_map(|pair| name_of(&self.shards.dataset, self.entry.name(), &pair.key));
        let names = Tensor::from_slice(&names.collect::<Vec<f32>>()).view([-1, 2]).to_device(self.clip.device());
        let signals = self.calibration.signals(&observed, &names, Others { gain, early })?;
        let suspicion = self.calibration.suspicion(&signals);
        Ok(pairs.iter().enumerate().map(|(i, pair)| self.row(pair, &signals, i, suspicion[i])).collect())
    }

    fn row(&self, pair: &Decoded, signals: &Signals, i: usize, suspicion: f32) -> SignalRow {
        let mut values = signals.row(i);
        values.push(suspicion);
        SignalRow {
            shard: self.entry.id,
            key: pair.key.clone(),
            content: pair.content.clone(),
            caption: pair.caption.clone(),
            values,
        }
    }
}

/// The pairs by the early checkpoint, and the scale of its logits.
fn by_early(clip: &Clip, pairs: &[Decoded]) -> Result<(Early, f64), Fault> {
    let scale = clip.logit_scale().f_exp().and_then(|scale| scale.f_double_value(&[])).map_err(torch)?;
    Ok((Early::of(clip, pairs)?, scale))
}
