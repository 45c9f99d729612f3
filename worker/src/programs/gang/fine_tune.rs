//! Fine-tuning on safe pairs (docs/peers.md), and what the remedies built on it share: D_safe in passes, never the pairs that
//! evaluation keeps for itself.
//!
//! It must never read the forget set: these remedies do not rest on what the audit found.

use lethe_common::fault::Fault;
use lethe_evidence::PairRow;
use lethe_model::Clip;

use super::gathered::Gathered;
use super::sampler::Stream;
use super::train::Train;
use super::training::{Material, Prepared, kind};
use super::vocabulary::Lexicon;
use crate::programs::checkpoint;
use crate::programs::fault::model_fault;
use crate::task::TaskContext;

/// The suspect model, and the safe pairs that it is trained on.
pub fn start(ctx: &TaskContext<'_>) -> Result<(Clip, Vec<PairRow>), Fault> {
    let whole = checkpoint::suspect_to_train(ctx)?.into_kind(kind(&ctx.spec.unlearn.gang)).map_err(model_fault)?;
    Ok((whole, Gathered::read(ctx)?.safe))
}

/// In which order the pairs are read, and what is drawn for them.
pub fn order(ctx: &TaskContext<'_>) -> Stream {
    Stream { seed: ctx.spec.audit.seed, number: 32 }
}

pub fn image_draws(ctx: &TaskContext<'_>) -> Stream {
    Stream { number: 33, ..order(ctx) }
}

pub fn text_draws(ctx: &TaskContext<'_>) -> Stream {
    Stream { number: 34, ..order(ctx) }
}

/// L_clip over D_safe is the loss of a plain training, from the suspect model.
pub(super) fn prepare(ctx: &TaskContext<'_>) -> Result<Prepared<Train>, Fault> {
    let (whole, safe) = start(ctx)?;
    let mut lexicon = Lexicon::new(&whole);
    let data = lexicon.dataset(safe)?;
    let (start, vocabulary) = lexicon.compact()?;
    let data = data.map(&vocabulary).map_err(model_fault)?;
    let objective = Train { data, order: order(ctx), batch: ctx.spec.unlearn.gang.batch as usize };
    Ok(Prepared::Training(Box::new(Material { whole, vocabulary, start, objective })))
}
