//! What the driver does for the engine, in this order. `Persist` comes first in a list, and the rest
//! may be acted on only once the store took it. All are idempotent under their task id.

use lethe_common::blob::BlobRef;
use lethe_common::ids::{Attempt, AuditId, Generation, PhaseIndex, TaskId, WorkerId};

use crate::record::{Change, GangCheckpoint, Output};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// One atomic, fenced batch.
    Persist(Vec<Change>),
    StartMap(MapStart),
    StartGangMember(GangStart),
    /// Runs on the coordinator; its end comes back as `ReduceDone` or `ReduceFailed`.
    StartReduce {
        audit: AuditId,
        phase: PhaseIndex,
        attempt: Attempt,
        program: String,
        inputs: Vec<Output>,
    },
    AbortReduce {
        audit: AuditId,
        phase: PhaseIndex,
        attempt: Attempt,
    },
    Abort {
        worker: WorkerId,
        task: TaskId,
        reason: String,
    },
    /// The answer to a `TaskCommitted`.
    Acknowledge {
        worker: WorkerId,
        task: TaskId,
        outcome: CommitOutcome,
    },
    /// The answer to a `GangCheckpointed`.
    AcknowledgeCheckpoint {
        worker: WorkerId,
        task: TaskId,
        step: u64,
        outcome: CommitOutcome,
        /// The one that it takes the place of, which nobody will ask for again: it can be deleted.
        replaced: Option<BlobRef>,
    },
    /// The audit reached a terminal state, which is durable and final.
    AuditEnded {
        audit: AuditId,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapStart {
    pub worker: WorkerId,
    pub task: TaskId,
    /// The outputs of the task's own shard; what its whole phase reads is [`crate::Engine::phase_context`].
    pub inputs: Vec<Output>,
    pub lease_ms: u64,
    /// How often this kind of worker ran out of memory on the phase.
    pub batch_halvings: u32,
}

/// What all tasks of one map phase share, the same from its first task to its last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseContext {
    pub program: String,
    pub inputs: Vec<Output>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GangStart {
    pub worker: WorkerId,
    /// The shard is the rank.
    pub task: TaskId,
    pub generation: Generation,
    /// Of this generation; another may have another.
    pub world_size: u32,
    pub program: String,
    pub inputs: Vec<Output>,
    /// Deadline of every collective call.
    pub timeout_ms: u64,
    /// What it begins with where no member holds anything newer.
    pub checkpoint: Option<GangCheckpoint>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitOutcome {
    Applied,
    /// Another attempt was first, or this one is older than the current.
    Stale,
    /// It is kept until another worker's result agrees; the worker is done with it.
    Provisional,
    /// Its outputs do not lie where this attempt writes.
    Refused,
}
