//! All of one shard, packed for a train plan.

use lethe_common::fault::Fault;
use lethe_evidence::artifacts::names;
use lethe_evidence::{PairRole, PairRow, PairTable};

use super::fault::fatal;
use super::shard::Batches;
use super::{checkpoint, inputs};
use crate::task::{Counts, TaskContext, TaskOutput};

/// Pairs decoded at a time.
const BATCH: usize = 256;

pub fn run(ctx: &TaskContext<'_>) -> Result<TaskOutput, Fault> {
    let (_, entry) = inputs::shard_entry(ctx, ctx.task.shard)?;
    let side = checkpoint::config(&ctx.spec)?.vision.image_size;
    let mut batches = Batches::of(&entry, side, BATCH, |_| true)?;
    let mut table = PairTable { side: u32::try_from(side).map_err(fatal)?, names: Vec::new(), rows: Vec::new() };
    while let Some(pairs) = batches.next() {
        ctx.stop_if_cancelled()?;
        table.rows.extend(pairs.into_iter().map(|pair| PairRow {
            shard: entry.id,
            key: pair.key,
            content: pair.content,
            caption: pair.caption,
            role: PairRole::Safe,
            pixels: pair.pixels,
            values: Vec::new(),
        }));
        (ctx.progress)(batches.counts.read, 0);
    }
    let outputs = vec![ctx.put(names::PAIRS, table.to_parquet().map_err(fatal)?)?];
    let counts = batches.counts;
    Ok(TaskOutput { outputs, counts: Counts { read: counts.read, scored: counts.scored, failed: counts.failed } })
}
