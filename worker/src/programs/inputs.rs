//! What a program reads: the committed outputs of earlier phases, by phase and name.
//!
//! It must never look for anything the coordinator did not hand over.

use bytes::Bytes;
use lethe_common::blob::NamedBlob;
use lethe_common::fault::Fault;
use lethe_common::ids::ShardId;
use lethe_evidence::artifacts::{self, names};
use lethe_evidence::artifacts::{ShardEntry, Shards};
use lethe_evidence::{PairTable, SignalTable};
use serde::de::DeserializeOwned;

use super::fault::fatal;
use crate::task::{TaskContext, TaskInput};

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
pub fn same_shard(ctx: &TaskContext<'_>, phase: &str, name: &str) -> Result<Bytes, Fault> {
    let own = |input: &&TaskInput| input.shard == ctx.task.shard;
    let input = ctx.inputs_of(phase).find(own).ok_or_else(|| missing(ctx, phase))?;
    ctx.get_own(named(input, name)?)
}

fn missing(ctx: &TaskContext<'_>, phase: &str) -> Fault {
    Fault::fatal(format!("{}: the plan hands over nothing of phase {phase}", ctx.task))
}

/// The one JSON artefact of a reduce or a gang.
pub fn json<T: DeserializeOwned>(ctx: &TaskContext<'_>, phase: &str, name: &str) -> Result<T, Fault> {
    artifacts::decode(name, &only(ctx, phase, name)?).map_err(fatal)
}

/// The packed pairs of the task's own shard.
pub fn own_pairs(ctx: &TaskContext<'_>) -> Result<PairTable, Fault> {
    PairTable::from_parquet(same_shard(ctx, "gather", names::PAIRS)?).map_err(fatal)
}

/// The listing's entry for a shard.
pub fn shard_entry(ctx: &TaskContext<'_>, shard: ShardId) -> Result<(Shards, ShardEntry), Fault> {
    let shards: Shards = json(ctx, "plan", names::SHARDS)?;
    let entry = shards.shards.iter().find(|entry| entry.id == shard.0).cloned();
    let entry = entry.ok_or_else(|| Fault::fatal(format!("the listing has no shard {shard}")))?;
    Ok((shards, entry))
}

/// The packed pairs of every shard of a phase, in order of shard.
pub fn all_pairs(ctx: &TaskContext<'_>, phase: &str) -> Result<Vec<PairTable>, Fault> {
    let table = |input| PairTable::from_parquet(read(ctx, input, names::PAIRS)?).map_err(fatal);
    ctx.inputs_of(phase).map(table).collect()
}

/// The tables of signals that every shard of a phase gave, in order of shard.
pub fn all_signals(ctx: &TaskContext<'_>, phase: &str, name: &str) -> Result<Vec<SignalTable>, Fault> {
    ctx.inputs_of(phase).map(|input| SignalTable::from_parquet(read(ctx, input, name)?).map_err(fatal)).collect()
}

/// Where a column stands in a table of signals.
pub fn column(table: &SignalTable, name: &str) -> Result<usize, Fault> {
    position(&table.names, name)
}

pub fn position(names: &[String], name: &str) -> Result<usize, Fault> {
    let found = names.iter().position(|column| column == name);
    found.ok_or_else(|| Fault::fatal(format!("a table has no column {name}; the plan is from another version")))
}
