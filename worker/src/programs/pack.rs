//! All of one shard, packed for a train plan.

use lethe_common::fault::Fault;
use lethe_evidence::PairTable;
use lethe_evidence::artifacts::names;

use super::fault::fatal;
use super::inputs;
use super::shard::{self, Batches, safe_row};
use crate::task::{Counts, TaskContext, TaskOutput};

/// Pairs decoded at a time.
const BATCH: usize = 256;

pub fn run(ctx: &TaskContext<'_>) -> Result<TaskOutput, Fault> {
    let (_, entry) = inputs::shard_entry(ctx, ctx.task.shard)?;
    let side = shard::target(&ctx.spec)?.side;
    let mut batches = Batches::of_own(ctx, BATCH)?;
    let mut table = PairTable { side, names: Vec::new(), rows: Vec::new() };
    while let Some(pairs) = batches.next() {
        ctx.stop_if_cancelled()?;
        table.rows.extend(pairs.into_iter().map(|pair| safe_row(entry.id, pair)));
        (ctx.progress)(batches.counts.read, 0);
    }
    batches.whole()?;
    let outputs = vec![ctx.put(names::PAIRS, table.to_parquet().map_err(fatal)?)?];
    let (counts, waited_ms) = (batches.counts, batches.waited.as_millis() as u64);
    let counts = Counts { read: counts.read, scored: counts.scored, failed: counts.failed };
    Ok(TaskOutput { outputs, counts, waited_ms })
}
