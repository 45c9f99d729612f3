//! Orders and outputs as messages, and commits back from them.
//!
//! It must never leave a field at its zero that the other side would take for a value.

use lethe_common::blob::NamedBlob;
use lethe_engine::{CommitOutcome, Counts, GangStart, MapStart, Output};
use lethe_proto::{WireError, v1};
use v1::coordinator_message::Kind;

use crate::driver::Order;

pub(super) fn message(kind: Kind) -> v1::CoordinatorMessage {
    v1::CoordinatorMessage { kind: Some(kind) }
}

pub(super) fn order(order: Order) -> v1::CoordinatorMessage {
    message(match order {
        Order::Map { start, spec_json } => Kind::Map(map(start, &spec_json)),
        Order::Gang { start, spec_json } => Kind::Gang(gang(start, &spec_json)),
        Order::Abort { task, reason } => Kind::Abort(v1::AbortTask { task: Some(task.into()), reason }),
    })
}

fn map(start: MapStart, spec_json: &str) -> v1::MapTask {
    v1::MapTask {
        task: Some(start.task.into()),
        program: start.program,
        params_json: spec_json.as_bytes().to_vec(),
        inputs: inputs(start.inputs),
        lease_ms: start.lease_ms,
    }
}

fn gang(start: GangStart, spec_json: &str) -> v1::GangTask {
    v1::GangTask {
        rank: start.task.shard.0,
        task: Some(start.task.into()),
        program: start.program,
        params_json: spec_json.as_bytes().to_vec(),
        inputs: inputs(start.inputs),
        generation: start.generation.0,
        world_size: start.world_size,
        timeout_ms: start.timeout_ms,
    }
}

fn inputs(outputs: Vec<Output>) -> Vec<v1::Input> {
    let input = |output: Output| v1::Input { phase: output.phase, shard: output.shard.0, outputs: named(output.blobs) };
    outputs.into_iter().map(input).collect()
}

pub(super) fn named(blobs: Vec<NamedBlob>) -> Vec<v1::NamedBlob> {
    blobs.into_iter().map(Into::into).collect()
}

pub(super) fn outputs(named: Vec<v1::NamedBlob>) -> Result<Vec<NamedBlob>, WireError> {
    named.into_iter().map(TryInto::try_into).collect()
}

pub(super) fn counts(counts: v1::Counts) -> Counts {
    Counts { read: counts.read, scored: counts.scored, failed: counts.failed }
}

pub(super) fn outcome(outcome: CommitOutcome) -> v1::CommitOutcome {
    match outcome {
        CommitOutcome::Applied => v1::CommitOutcome::Applied,
        CommitOutcome::Stale => v1::CommitOutcome::Stale,
    }
}
