//! The suspects that the cut chose in one shard, and a sample of its safe pairs, packed for training.
//!
//! It must never hold a picture but those of one batch: what stays in memory are the chosen keys, which the cut caps.

use std::collections::BTreeMap;

use lethe_common::fault::Fault;
use lethe_data::{Decoded, key_hash};
use lethe_evidence::artifacts::{ShardEntry, Shards, SuspectCut, columns, names};
use lethe_evidence::{PairRole, PairRow, PairTable, RowBatches, SignalRow};

use super::fault::{fatal, table_fault};
use super::held_out::share_of_hashes;
use super::inputs;
use super::shard::{self, Batches};
use crate::task::{Counts, TaskContext, TaskOutput, writer_of};

/// Pairs decoded at a time.
const BATCH: usize = 256;

pub fn run(ctx: &TaskContext<'_>) -> Result<TaskOutput, Fault> {
    let (shards, entry) = inputs::shard_entry(ctx, ctx.task.shard)?;
    let cut = ctx.kept.get("cut", || inputs::json::<SuspectCut>(ctx, "suspect", names::CUT))?;
    let signals = inputs::own_signals(ctx)?;
    let columns = signals.names.clone();
    let chosen = chosen(ctx.spec.audit.seed, (&shards, &entry), &cut, signals)?;
    let target = shard::target(&ctx.spec)?;
    let wanted: Vec<String> = chosen.keys().cloned().collect();
    let pairs = shard::own(ctx, move |sample| wanted.binary_search(&sample.key).is_ok())?;
    let file = ctx.scratch_file()?;
    let mut table = PairTable::writer(target.side, &columns, writer_of(&file)?).map_err(table_fault)?;
    let mut read = 0;
    let mut batches = Batches::of(pairs, BATCH);
    for pairs in batches.by_ref() {
        ctx.stop_if_cancelled()?;
        for row in pairs.into_iter().filter_map(|pair| pack(entry.id, pair, &chosen)) {
            table.push(row).map_err(table_fault)?;
            read += 1;
        }
    }
    table.finish().map_err(table_fault)?;
    batches.whole()?;
    let outputs = vec![ctx.put_file(names::PAIRS, file)?];
    Ok(TaskOutput { outputs, counts: Counts::all(read), waited_ms: batches.waited.as_millis() as u64 })
}

/// By key: the role and the signals. A key that occurs twice in a shard is its first sample.
type Chosen = BTreeMap<String, (String, PairRole, Vec<f32>)>;

fn chosen(
    seed: u64,
    (shards, entry): (&Shards, &ShardEntry),
    cut: &SuspectCut,
    signals: RowBatches<SignalRow>,
) -> Result<Chosen, Fault> {
    let column = inputs::position(&signals.names, columns::SUSPICION)?;
    let safe_below = share_of_hashes(cut.safe_share);
    let mut chosen = Chosen::new();
    for batch in signals {
        for row in batch.map_err(fatal)? {
            let hash = |salt: &str| key_hash(seed, salt, entry.name(), &row.key);
            let (suspicion, key_hash) = (row.values[column], hash(&shards.dataset));
            let role = if cut.is_suspect(suspicion, key_hash) {
                PairRole::Suspect
            } else if hash("safe") < safe_below && cut.is_honest(suspicion, key_hash) {
                PairRole::Safe
            } else {
                continue;
            };
            chosen.entry(row.key).or_insert((row.content, role, row.values));
        }
    }
    Ok(chosen)
}

fn pack(shard: u32, pair: Decoded, chosen: &Chosen) -> Option<PairRow> {
    let (content, role, values) = chosen.get(&pair.key)?;
    (*content == pair.content).then(|| PairRow {
        shard,
        key: pair.key,
        content: pair.content,
        caption: pair.caption,
        role: *role,
        pixels: pair.pixels,
        values: values.clone(),
    })
}
