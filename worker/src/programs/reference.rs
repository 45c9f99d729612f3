//! The reference set: pairs drawn by key hash from all data, which every scored pair is compared with.
//!
//! It is drawn from everything, poison included, and never from what an earlier stage called safe. It
//! must never depend on which worker reads which shard.

use std::collections::BinaryHeap;

use lethe_common::fault::Fault;
use lethe_data::{Decoded, Sample, decode_shard, key_hash};
use lethe_evidence::artifacts::{ShardEntry, Shards, names};
use lethe_model::tch::Tensor;

use super::early::Early;
use super::fault::model_fault;
use super::observe::Observed;
use super::tensors::{Tensors, encode, torch};
use super::trusted::gain;
use super::{checkpoint, inputs, shard};
use crate::task::{Counts, TaskContext, TaskOutput};

pub fn run(ctx: &TaskContext<'_>) -> Result<TaskOutput, Fault> {
    let (shards, entry) = inputs::shard_entry(ctx, ctx.task.shard)?;
    let clip = checkpoint::suspect(ctx)?;
    let (trusted, early) = (checkpoint::trusted(ctx)?, checkpoint::early(ctx)?);
    let wanted = shards.reference_share(ctx.spec.reference.samples);
    let chosen = smallest_hashes(ctx, &shards, &entry, wanted)?;
    let target = shard::target(&ctx.spec)?;
    let pairs: Vec<Decoded> = decode_shard(chosen.into_iter().map(Ok), target, 1, wanted).flatten().collect();
    let mut bank = Bank::default();
    for batch in pairs.chunks(ctx.batch()) {
        ctx.stop_if_cancelled()?;
        let observed = Observed::of(&clip, batch).map_err(model_fault)?;
        let gain = trusted.as_ref().map(|trusted| gain(trusted, batch, &observed.similarity)).transpose()?;
        let early = early.as_ref().map(|early| Early::of(early, batch)).transpose()?;
        bank.push(&observed, (gain.as_ref(), early.as_ref()), names_of(&shards, &entry, batch));
    }
    let outputs = vec![ctx.put(REFERENCE, bank.encode()?)?];
    let read = pairs.len() as u64;
    Ok(TaskOutput { outputs, counts: Counts::all(read), waited_ms: 0 })
}

/// The name of the phase's artefact.
pub const REFERENCE: &str = names::REFERENCE;

/// What tells a pair from another, as two exact f32 numbers of 24 bits each.
fn names_of(shards: &Shards, entry: &ShardEntry, pairs: &[Decoded]) -> Vec<f32> {
    pairs.iter().flat_map(|pair| name_of(&shards.dataset, entry.name(), &pair.key)).collect()
}

pub fn name_of(dataset: &str, shard: &str, key: &str) -> [f32; 2] {
    let hash = key_hash(0, dataset, shard, key);
    [(hash & 0xff_ffff) as f32, (hash >> 40) as f32]
}

/// The samples with the least key hashes, in the shard's order; only as many are held as are wanted.
fn smallest_hashes(
    ctx: &TaskContext<'_>,
    shards: &Shards,
    entry: &ShardEntry,
    wanted: usize,
) -> Result<Vec<Sample>, Fault> {
    let mut heap: BinaryHeap<Drawn> = BinaryHeap::with_capacity(wanted + 1);
    let mut samples = shard::open(&shard::source(&ctx.spec)?, entry)?;
    for (order, sample) in samples.by_ref().flatten().enumerate() {
        let hash = key_hash(ctx.spec.audit.seed, &shards.dataset, entry.name(), &sample.key);
        heap.push(Drawn { hash, order, sample });
        if heap.len() > wanted {
            heap.pop();
        }
    }
    shard::whole(&samples.ending())?;
    let mut drawn = heap.into_vec();
    drawn.sort_by_key(|drawn| drawn.order);
    Ok(drawn.into_iter().map(|drawn| drawn.sample).collect())
}

struct Drawn {
    hash: u64,
    order: usize,
    sample: Sample,
}

impl PartialEq for Drawn {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Drawn {}

impl PartialOrd for Drawn {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Drawn {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.hash, self.order).cmp(&(other.hash, other.order))
    }
}

/// Columns of a bank, in the order that [`Bank::push`] fills them.
const COLUMNS: [&str; 8] =
    ["token_gradient", "thumbnail", "name", "image_features", "text_features", TRUSTED_GAIN, EARLY_IMAGE, EARLY_TEXT];
/// There where trusted weights are.
pub const TRUSTED_GAIN: &str = "trusted_gain";
/// There where an early checkpoint is: unit features by it.
pub const EARLY_IMAGE: &str = "early_image_features";
pub const EARLY_TEXT: &str = "early_text_features";

/// The reference set's rows as tensors, by column.
#[derive(Default)]
pub struct Bank {
    columns: [Vec<Tensor>; COLUMNS.len()],
}

impl Bank {
    fn push(&mut self, observed: &Observed, (gain, early): (Option<&Tensor>, Option<&Early>), names: Vec<f32>) {
        let names = Tensor::from_slice(&names).view([-1, 2]);
        let o = observed;
        let rows = [
            Some(&o.token_gradient),
            Some(&o.thumbnail),
            Some(&names),
            Some(&o.image_features),
            Some(&o.text_features),
            gain,
            early.map(|early| &early.image),
            early.map(|early| &early.text),
        ];
        for (column, rows) in self.columns.iter_mut().zip(rows) {
            column.extend(rows.map(Tensor::shallow_clone));
        }
    }

    fn encode(&self) -> Result<bytes::Bytes, Fault> {
        let filled = self.columns.iter().zip(COLUMNS).filter(|(parts, _)| !parts.is_empty());
        let whole = filled.map(|(parts, name)| Ok((name, Tensor::f_cat(parts, 0)?))).collect::<Result<Vec<_>, _>>();
        let whole = whole.map_err(torch)?;
        encode(&whole.iter().map(|(name, tensor)| (*name, tensor)).collect::<Vec<_>>())
    }

    /// The whole reference set on the task's device, shards in order.
    pub fn read(ctx: &TaskContext<'_>) -> Result<Self, Fault> {
        let mut bank = Self::default();
        let model = &ctx.spec.model;
        let is_there = |column: &str| match column {
            TRUSTED_GAIN => model.trusted.is_some(),
            EARLY_IMAGE | EARLY_TEXT => model.early.is_some(),
            _ => true,
        };
        for input in ctx.inputs_of("reference") {
            let bytes = inputs::read(ctx, input, REFERENCE)?;
            let tensors = Tensors::decode(&bytes)?;
            if tensors.is_empty() {
                continue; // a shard without a readable pair; scoring counts and lists what is wrong with it
            }
            for (column, name) in bank.columns.iter_mut().zip(COLUMNS).filter(|(_, name)| is_there(name)) {
                column.push(tensors.get(name)?.f_to_device(ctx.device).map_err(torch)?);
            }
        }
        if bank.columns.iter().all(Vec::is_empty) {
            return Err(Fault::fatal(
                "no shard has a readable pair; expected shards with an image and a caption a sample",
            ));
        }
        Ok(bank)
    }

    /// A column's rows, all shards in order; nothing where there is none.
    pub fn column(&self, name: &str) -> Result<Option<Tensor>, Fault> {
        let parts = COLUMNS.iter().zip(&self.columns).find(|(column, _)| **column == name).map(|(_, parts)| parts);
        match parts {
            Some(parts) if !parts.is_empty() => Tensor::f_cat(parts, 0).map(Some).map_err(torch),
            _ => Ok(None),
        }
    }

    /// Adds to a column.
    #[cfg(test)]
    pub fn put(&mut self, name: &str, rows: &Tensor) {
        let at = COLUMNS.iter().position(|column| *column == name).expect("is a column");
        self.columns[at].push(rows.shallow_clone());
    }

    /// A column that every bank has.
    pub fn required(&self, name: &str) -> Result<Tensor, Fault> {
        self.column(name)?.ok_or_else(|| Fault::fatal(format!("the reference set has no column {name}")))
    }
}
