//! The suspects that the cut chose in one shard, and a sample of its safe pairs, packed for training.

use std::collections::BTreeMap;

use lethe_common::fault::Fault;
use lethe_data::{Decoded, key_hash};
use lethe_evidence::artifacts::{ShardEntry, Shards, SuspectCut, columns, names};
use lethe_evidence::{PairRole, PairRow, PairTable, SignalTable};

use super::fault::fatal;
use super::held_out::share_of_hashes;
use super::shard::Batches;
use super::{checkpoint, inputs};
use crate::task::{Counts, TaskContext, TaskOutput};

/// Pairs decoded at a time.
const BATCH: usize = 256;

pub fn run(ctx: &TaskContext<'_>) -> Result<TaskOutput, Fault> {
    let (shards, entry) = inputs::shard_entry(ctx, ctx.task.shard)?;
    let cut: SuspectCut = inputs::json(ctx, "suspect", names::CUT)?;
    let signals = SignalTable::from_parquet(inputs::same_shard(ctx, "score", names::SIGNALS)?).map_err(fatal)?;
    let chosen = chosen(ctx.spec.audit.seed, (&shards, &entry), &cut, &signals)?;
    let side = checkpoint::config(&ctx.spec)?.vision.image_size;
    let wanted: Vec<String> = chosen.keys().cloned().collect();
    let batches = Batches::of(&entry, side, BATCH, move |sample| wanted.binary_search(&sample.key).is_ok())?;
    let mut table =
        PairTable { side: u32::try_from(side).map_err(fatal)?, names: signals.names.clone(), rows: Vec::new() };
    for pairs in batches {
        ctx.stop_if_cancelled()?;
        table.rows.extend(pairs.into_iter().filter_map(|pair| pack(entry.id, pair, &chosen)));
    }
    let read = table.rows.len() as u64;
    let outputs = vec![ctx.put(names::PAIRS, table.to_parquet().map_err(fatal)?)?];
    Ok(TaskOutput { outputs, counts: Counts { read, scored: read, failed: 0 } })
}

/// By key: the role and the signals. A key that occurs twice in a shard is its first sample.
type Chosen = BTreeMap<String, (String, PairRole, Vec<f32>)>;

fn chosen(
    seed: u64,
    (shards, entry): (&Shards, &ShardEntry),
    cut: &SuspectCut,
    signals: &SignalTable,
) -> Result<Chosen, Fault> {
    let column = inputs::column(signals, columns::SUSPICION)?;
    let safe_below = share_of_hashes(cut.safe_share);
    let mut chosen = Chosen::new();
    for row in &signals.rows {
        let hash = |salt: &str| key_hash(seed, salt, entry.name(), &row.key);
        let role = if cut.cut.is_suspect(row.values[column], hash(&shards.dataset)) {
            PairRole::Suspect
        } else if hash("safe") < safe_below {
            PairRole::Safe
        } else {
            continue;
        };
        chosen.entry(row.key.clone()).or_insert_with(|| (row.content.clone(), role, row.values.clone()));
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
