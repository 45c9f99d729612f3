//! What a program reads: the committed outputs of earlier phases, by phase and name.
//!
//! It must never look for anything the coordinator did not hand over.

use std::rc::Rc;

use bytes::Bytes;
use lethe_common::blob::NamedBlob;
use lethe_common::fault::Fault;
use lethe_common::ids::ShardId;
use lethe_evidence::artifacts::{self, names};
use lethe_evidence::artifacts::{ShardEntry, Shards};
use lethe_evidence::{PairRow, PairTable, RowBatches, SignalRow, SignalTable};
use serde::de::DeserializeOwned;

use super::fault::fatal;
use crate::task::{TaskContext, TaskInput};

/// A larger table of the task's own shard passes through a file.
const IN_MEMORY_BYTES: u64 = 16 << 20;

/// One output of one task of an earlier phase, which all tasks of this phase share.
pub fn read(ctx: &TaskContext<'_>, input: &TaskInput, name: &str) -> Result<Bytes, Fault> {
    ctx.get(named(input, name)?)
}

fn named<'i>(input: &'i TaskInput, name: &str) -> Result<&'i NamedBlob, Fault> {
    input.blobs.iter().find(|blob| blob.name == name).ok_or_else(|| {
        Fault::fatal(format!(
            "phase {} gave no {name} for shard {}; the plan is from another version",
            input.phase, input.shard
        ))
    })
}

/// The output of a phase that has one task: a reduce or a gang.
pub fn only(ctx: &TaskContext<'_>, phase: &str, name: &str) -> Result<Bytes, Fault> {
    let input = ctx.inputs_of(phase).next().ok_or_else(|| missing(ctx, phase))?;
    read(ctx, input, name)
}

/// The output for the task's own shard, of a map phase.
fn same_shard<'c>(ctx: &'c TaskContext<'_>, phase: &'c str, name: &str) -> Result<&'c NamedBlob, Fault> {
    let own = |input: &&TaskInput| input.shard == ctx.task.shard;
    let input = ctx.inputs_of(phase).find(own).ok_or_else(|| missing(ctx, phase))?;
    named(input, name)
}

fn missing(ctx: &TaskContext<'_>, phase: &str) -> Fault {
    Fault::fatal(format!("{}: the plan hands over nothing of phase {phase}", ctx.task))
}

/// The one JSON artefact of a reduce or a gang.
pub fn json<T: DeserializeOwned>(ctx: &TaskContext<'_>, phase: &str, name: &str) -> Result<T, Fault> {
    artifacts::decode(name, &only(ctx, phase, name)?).map_err(fatal)
}

/// The packed pairs of the task's own shard, a batch at a time: their side, and their rows.
pub fn own_pairs(ctx: &TaskContext<'_>) -> Result<(u32, RowBatches<PairRow>), Fault> {
    let blob = same_shard(ctx, "gather", names::PAIRS)?;
    match blob.blob.size_bytes {
        0..=IN_MEMORY_BYTES => PairTable::batches(ctx.get_own(blob)?),
        _ => PairTable::batches(ctx.open_own(blob)?),
    }
    .map_err(fatal)
}

/// The signals of the task's own shard, a batch at a time.
pub fn own_signals(ctx: &TaskContext<'_>) -> Result<RowBatches<SignalRow>, Fault> {
    let blob = same_shard(ctx, "score", names::SIGNALS)?;
    match blob.blob.size_bytes {
        0..=IN_MEMORY_BYTES => SignalTable::batches(ctx.get_own(blob)?),
        _ => SignalTable::batches(ctx.open_own(blob)?),
    }
    .map_err(fatal)
}

/// The listing, and its entry for a shard. The tasks of a phase read it once: it has a line for every shard.
pub fn shard_entry(ctx: &TaskContext<'_>, shard: ShardId) -> Result<(Rc<Shards>, ShardEntry), Fault> {
    let shards: Rc<Shards> = ctx.kept.get("listing", || json(ctx, "plan", names::SHARDS))?;
    let entry = shards.shards.get(shard.0 as usize).filter(|entry| entry.id == shard.0).cloned();
    let entry = entry.ok_or_else(|| Fault::fatal(format!("the listing has no shard {shard}")))?;
    Ok((shards, entry))
}

/// The packed pairs of every shard of a phase, in order of shard; each is a sign of life.
pub fn all_pairs(ctx: &TaskContext<'_>, phase: &str) -> Result<Vec<PairTable>, Fault> {
    let table = |input| {
        ctx.stop_if_cancelled()?;
        (ctx.progress)(0, 0);
        PairTable::from_parquet(read(ctx, input, names::PAIRS)?).map_err(fatal)
    };
    ctx.inputs_of(phase).map(table).collect()
}

/// The tables of signals that every shard of a phase gave, in order of shard.
pub fn all_signals(ctx: &TaskContext<'_>, phase: &str, name: &str) -> Result<Vec<SignalTable>, Fault> {
    ctx.inputs_of(phase).map(|input| SignalTable::from_parquet(read(ctx, input, name)?).map_err(fatal)).collect()
}

/// Where a column stands in a table of signals.
pub fn position(names: &[String], name: &str) -> Result<usize, Fault> {
    let found = names.iter().position(|column| column == name);
    found.ok_or_else(|| Fault::fatal(format!("a table has no column {name}; the plan is from another version")))
}

#[cfg(test)]
mod tests {
    use lethe_common::fault::FaultKind;

    use super::*;
    use crate::task::{Rig, plain_spec, sample_id};

    /// Whose damage it is decides what becomes of the audit: a shard of it, or all.
    #[test]
    fn damage_is_the_shards_fault_or_everybodys() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let rig = Rig::new(folder.path());
        let blob = rig.blobs.put(&sample_id(1), "pairs", Bytes::from_static(b"whole")).expect("writes");
        std::fs::write(folder.path().join(&blob.blob.path), "hole").expect("is ours");
        let of = |phase: &str| TaskInput { phase: phase.into(), shard: ShardId(0), blobs: vec![blob.clone()] };
        let ctx = TaskContext { inputs: vec![of("gather"), of("select")], ..rig.context() };
        let own = || ctx.get_own(same_shard(&ctx, "gather", "pairs").expect("is there"));
        let opened = ctx.open_own(&blob).expect_err("is damaged");
        assert_eq!(opened.kind, FaultKind::BadShard, "{opened}");
        let faults = [own(), only(&ctx, "select", "pairs")].map(Result::unwrap_err);
        for (fault, kind) in faults.iter().zip([FaultKind::BadShard, FaultKind::Fatal]) {
            assert_eq!(fault.kind, kind, "{fault}");
            assert!(fault.message.contains(&blob.blob.path), "{fault}");
        }
        std::fs::remove_file(folder.path().join(&blob.blob.path)).expect("is ours");
        let gone = own().expect_err("is gone");
        assert_eq!(gone.kind, FaultKind::Retryable, "a store may come back: {gone}");
    }

    #[test]
    fn batches_are_halved_but_never_empty() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let rig = Rig::new(folder.path());
        for (batch, batch_halvings, expected) in
            [(256, 0, 256), (256, 1, 128), (100, 3, 12), (4, 9, 1), (1, 0, 1), (256, 64, 1), (256, u32::MAX, 1)]
        {
            let ctx = TaskContext { spec: plain_spec(batch), batch_halvings, ..rig.context() };
            assert_eq!(ctx.batch(), expected, "{batch} halved {batch_halvings} times");
        }
    }
}
