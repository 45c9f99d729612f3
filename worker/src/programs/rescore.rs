//! A shard's suspects again, under the overfitted model and under the stand-in that has forgotten the strongest of them.
//!
//! rank_score = s_overfit - s_stand_in (METHOD.md, stage 3: gain against what does not know the shortcut). The stand-in is
//! taken even where trusted weights are given: it knows the odd pairs of this data, which those never saw (FINDINGS.md).

use lethe_common::fault::Fault;
use lethe_evidence::artifacts::{columns, names};
use lethe_evidence::{PairRole, PairRow, RowBatches, SignalRow, SignalTable};
use lethe_model::tch;
use lethe_model::{Clip, loss};

use super::captions::Distinct;
use super::fault::{fatal, model_fault};
use super::pictures::pixels_of;
use super::tensors::values;
use super::{checkpoint, inputs};
use crate::task::{Counts, TaskContext, TaskOutput};

pub fn run(ctx: &TaskContext<'_>) -> Result<TaskOutput, Fault> {
    let (_, pairs) = inputs::own_pairs(ctx)?;
    let overfitted = checkpoint::of_phase(ctx, "overfit", names::OVERFITTED)?;
    let stand_in = checkpoint::of_phase(ctx, "stand-in", names::STAND_IN)?;
    let earlier = [columns::SIMILARITY, columns::SUSPICION].map(|name| inputs::position(&pairs.names, name));
    let earlier = [earlier[0].clone()?, earlier[1].clone()?];
    let mut table = SignalTable { names: column_names(), rows: Vec::new() };
    let mut score = |batch: &[PairRow]| {
        ctx.stop_if_cancelled()?;
        let (high, low) = (similarities(&overfitted, batch)?, similarities(&stand_in, batch)?);
        let row = |(i, row): (usize, &PairRow)| rescored(row, earlier.map(|at| row.values[at]), high[i], low[i]);
        table.rows.extend(batch.iter().enumerate().map(row));
        Ok(())
    };
    by_batches(pairs, ctx.batch(), &mut score)?;
    let read = table.rows.len() as u64;
    let outputs = vec![ctx.put(names::RESCORED, table.to_parquet().map_err(fatal)?)?];
    Ok(TaskOutput { outputs, counts: Counts::all(read), waited_ms: 0 })
}

/// The suspects so many at a time, whatever the parts that they are read in: a score depends on its batch in the last bits.
fn by_batches(
    pairs: RowBatches<PairRow>,
    at_once: usize,
    score: &mut impl FnMut(&[PairRow]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut waiting = Vec::with_capacity(at_once);
    for rows in pairs {
        for row in rows.map_err(fatal)?.into_iter().filter(|row| row.role == PairRole::Suspect) {
            waiting.push(row);
            if waiting.len() == at_once {
                score(&waiting)?;
                waiting.clear();
            }
        }
    }
    if waiting.is_empty() { Ok(()) } else { score(&waiting) }
}

fn column_names() -> Vec<String> {
    let names =
        [columns::SIMILARITY, columns::SUSPICION, "similarity_overfitted", "similarity_stand_in", columns::RANK_SCORE];
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
