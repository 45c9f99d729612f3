//! A shard's suspects again, under the overfitted model and under the stand-in that has forgotten the strongest of them; and its
//! safe pairs, to know what honest ones lose. By the suspect model, which words of their captions suspects match by ([`super::weights`]).
//!
//! fall = s_overfit - s_stand_in (METHOD.md, stage 3: gain against what does not know the shortcut). The stand-in is taken even
//! where trusted weights are given: it knows the odd pairs of this data, which those never saw (FINDINGS.md).

use bytes::Bytes;
use lethe_common::fault::Fault;
use lethe_evidence::artifacts::{self, WordFalls, columns, names};
use lethe_evidence::{PairRole, PairRow, RowBatches, SignalRow, SignalTable};
use lethe_model::tch;
use lethe_model::{Clip, loss};

use super::captions::Distinct;
use super::fault::{fatal, model_fault};
use super::pictures::pixels_of;
use super::tensors::values;
use super::weights::word_falls;
use super::{checkpoint, inputs};
use crate::task::{Counts, TaskContext, TaskOutput};

/// Suspects whose words are taken away at once: of each a caption a word.
const WEIGHED_AT_ONCE: usize = 32;

pub fn run(ctx: &TaskContext<'_>) -> Result<TaskOutput, Fault> {
    let (_, pairs) = inputs::own_pairs(ctx)?;
    // What was not overfitted is the suspect model, whose similarities are known.
    let is_overfitted = ctx.spec.overfit.gang.steps > 0;
    let overfitted = is_overfitted.then(|| checkpoint::of_phase(ctx, "overfit", names::OVERFITTED)).transpose()?;
    let (suspect, stand_in) = (checkpoint::suspect(ctx)?, checkpoint::of_phase(ctx, "stand-in", names::STAND_IN)?);
    let earlier = [columns::SIMILARITY, columns::SUSPICION].map(|name| inputs::position(&pairs.names, name));
    let earlier = [earlier[0].clone()?, earlier[1].clone()?];
    let mut table = SignalTable { names: column_names(), rows: Vec::new() };
    let mut falls = WordFalls::default();
    let mut read = 0;
    let mut score = |batch: &[PairRow]| {
        ctx.stop_if_cancelled()?;
        let high = match &overfitted {
            Some(overfitted) => similarities(overfitted, batch)?,
            None => batch.iter().map(|row| row.values[earlier[0]]).collect(),
        };
        let low = similarities(&stand_in, batch)?;
        for (row, (high, low)) in batch.iter().zip(high.into_iter().zip(low)) {
            match row.role {
                PairRole::Suspect => table.rows.push(rescored(row, earlier.map(|at| row.values[at]), high, low)),
                PairRole::Safe => falls.add(&row.caption, high - low),
            }
        }
        if batch.iter().any(|row| row.role == PairRole::Suspect) {
            for some in batch.chunks(WEIGHED_AT_ONCE) {
                ctx.stop_if_cancelled()?;
                word_falls(&suspect, some, ctx.batch())?.iter().for_each(|one| falls.weights.add(one));
            }
        }
        read += batch.len() as u64;
        Ok(())
    };
    by_batches(pairs, ctx.batch(), &mut score)?;
    let falls = artifacts::encode(names::FALLS, &falls).map_err(fatal)?;
    let outputs =
        vec![ctx.put(names::RESCORED, table.to_parquet().map_err(fatal)?)?, ctx.put(names::FALLS, Bytes::from(falls))?];
    Ok(TaskOutput { outputs, counts: Counts::all(read), waited_ms: 0 })
}

/// The pairs so many at a time, suspects apart from safe ones, whatever the parts that they are read in: a score depends on its batch in the last bits.
fn by_batches(
    pairs: RowBatches<PairRow>,
    at_once: usize,
    score: &mut impl FnMut(&[PairRow]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let (mut suspects, mut safe) = (Vec::with_capacity(at_once), Vec::with_capacity(at_once));
    for rows in pairs {
        for row in rows.map_err(fatal)? {
            let waiting = if row.role == PairRole::Suspect { &mut suspects } else { &mut safe };
            waiting.push(row);
            if waiting.len() == at_once {
                score(waiting)?;
                waiting.clear();
            }
        }
    }
    [suspects, safe].iter().filter(|waiting| !waiting.is_empty()).try_for_each(|waiting| score(waiting))
}

fn column_names() -> Vec<String> {
    let names =
        [columns::SIMILARITY, columns::SUSPICION, "similarity_overfitted", "similarity_stand_in", columns::FALL];
    names.map(str::to_owned).to_vec()
}

fn rescored(row: &PairRow, [similarity, suspicion]: [f32; 2], overfitted: f32, stand_in: f32) -> SignalRow {
    SignalRow {
        shard: row.shard,
        key: row.key.clone(),
        content: row.content.clone(),
        caption: row.caption.clone(),
        values: vec![similarity, suspicion, overfitted, stand_in, overfitted - stand_in],
    }
}

/// s of each pair, in order.
fn similarities(clip: &Clip, pairs: &[PairRow]) -> Result<Vec<f32>, Fault> {
    let _guard = tch::no_grad_guard();
    let compute = || {
        let pixels = pixels_of(pairs.iter().map(|row| row.pixels.as_slice()), clip)?;
        let text = Distinct::of(pairs.iter().map(|row| row.caption.as_str())).embed_each(clip)?;
        loss::similarity(&clip.encode_image(&pixels)?, &text)
    };
    values(&compute().map_err(model_fault)?)
}

#[cfg(test)]
#[path = "rescore_tests.rs"]
mod tests;
