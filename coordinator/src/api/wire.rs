//! Orders and outputs as messages, and commits back from them.
//!
//! It must never leave a field at its zero that the other side would take for a value.

use lethe_common::blob::NamedBlob;
use lethe_common::ids::{TaskId, WorkerId};
use lethe_engine::{CommitOutcome, Counts, GangCheckpoint, GangPlace, GangStart, MapStart, Output};
use lethe_proto::{WireError, v1};
use lethe_telemetry::Trace;
use tonic::Status;
use v1::coordinator_message::Kind;

use crate::driver::{MapPhase, Pace};
use crate::review::{Judgement, Mark, Saying};

pub(super) fn message(kind: Kind) -> v1::CoordinatorMessage {
    v1::CoordinatorMessage { kind: Some(kind) }
}

/// # Errors
/// INVALID_ARGUMENT where it says nothing that this release knows.
pub(super) fn saying(mark: v1::Mark) -> Result<Saying, Status> {
    let judgement = match v1::Judgement::try_from(mark.judgement) {
        Ok(v1::Judgement::Unspecified) => None,
        Ok(v1::Judgement::Poison) => Some(Judgement::Poison),
        Ok(v1::Judgement::Clean) => Some(Judgement::Clean),
        Err(_) => {
            let (key, number) = (mark.key, mark.judgement);
            return Err(Status::invalid_argument(format!(
                "{key:?} is marked as {number}, which this release does not know"
            )));
        }
    };
    Ok(Saying { shard: mark.shard, key: mark.key, content: mark.content, judgement })
}

pub(super) fn mark(mark: &Mark) -> v1::Mark {
    let judgement = match mark.judgement {
        Judgement::Poison => v1::Judgement::Poison,
        Judgement::Clean => v1::Judgement::Clean,
    };
    v1::Mark {
        shard: mark.shard,
        key: mark.key.clone(),
        content: mark.content.clone(),
        judgement: judgement.into(),
        by: mark.by.clone(),
        at_ms: mark.at.0,
    }
}

/// A task with all that it needs, as version 1 wants it.
pub(super) fn map(start: MapStart, phase: &MapPhase) -> v1::MapTask {
    let mut inputs = self::inputs(phase.context.inputs.clone());
    inputs.extend(self::inputs(start.inputs));
    v1::MapTask {
        task: Some(start.task.into()),
        program: phase.context.program.clone(),
        params_json: phase.spec_json.as_bytes().to_vec(),
        inputs,
        lease_ms: start.lease_ms,
        traceparent: traceparent(phase.trace),
    }
}

pub(super) fn phase(task: &TaskId, phase: &MapPhase) -> v1::MapPhase {
    v1::MapPhase {
        audit: task.audit.to_string(),
        phase: task.phase.0,
        program: phase.context.program.clone(),
        params_json: phase.spec_json.as_bytes().to_vec(),
        inputs: inputs(phase.context.inputs.clone()),
        traceparent: traceparent(phase.trace),
    }
}

pub(super) fn lease(start: MapStart) -> v1::MapLease {
    let MapStart { worker: _, task, inputs, lease_ms: _, batch_halvings } = start;
    v1::MapLease { task: Some(task.into()), inputs: self::inputs(inputs), batch_halvings }
}

pub(super) fn gang(start: GangStart, spec_json: &str, trace: Option<Trace>) -> v1::GangTask {
    v1::GangTask {
        rank: start.task.shard.0,
        task: Some(start.task.into()),
        program: start.program,
        params_json: spec_json.as_bytes().to_vec(),
        inputs: inputs(start.inputs),
        generation: start.generation.0,
        world_size: start.world_size,
        timeout_ms: start.timeout_ms,
        checkpoint: start.checkpoint.map(checkpoint),
        traceparent: traceparent(trace),
    }
}

fn traceparent(trace: Option<Trace>) -> String {
    trace.map(|trace| trace.to_string()).unwrap_or_default()
}

fn checkpoint(checkpoint: GangCheckpoint) -> v1::GangCheckpoint {
    v1::GangCheckpoint { step: checkpoint.step, blob: Some(checkpoint.blob.into()) }
}

pub(super) fn checkpointed(
    request: v1::CheckpointGangRequest,
) -> Result<(WorkerId, TaskId, GangCheckpoint), WireError> {
    let v1::CheckpointGangRequest { worker, task, checkpoint } = request;
    let task = TaskId::try_from(task.ok_or(WireError::Missing("task"))?)?;
    let v1::GangCheckpoint { step, blob } = checkpoint.ok_or(WireError::Missing("checkpoint"))?;
    let blob = blob.ok_or(WireError::Missing("checkpoint.blob"))?.try_into()?;
    Ok((WorkerId::new(&worker)?, task, GangCheckpoint { step, blob }))
}

pub(super) fn place(place: v1::GangPlace) -> GangPlace {
    let v1::GangPlace { step, call, call_number, waits } = place;
    GangPlace { step, call, call_number, waits }
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

pub(super) fn pace(pace: v1::Pace) -> Pace {
    let v1::Pace { samples, tasks_ms, waited_ms } = pace;
    Pace { samples, tasks_ms, waited_ms }
}

pub(super) fn counts(counts: v1::Counts) -> Counts {
    Counts { read: counts.read, scored: counts.scored, failed: counts.failed }
}

/// A result that waits for a second opinion is as good as applied to its worker: it is done with the task.
pub(super) fn outcome(outcome: CommitOutcome) -> v1::CommitOutcome {
    match outcome {
        CommitOutcome::Applied | CommitOutcome::Provisional => v1::CommitOutcome::Applied,
        CommitOutcome::Stale => v1::CommitOutcome::Stale,
        CommitOutcome::Refused => v1::CommitOutcome::Refused,
    }
}
