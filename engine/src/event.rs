//! Everything that can happen to the engine. One fact is one event: a missed heartbeat, a failed send
//! and a closed stream all arrive as `WorkerLost`.

use std::collections::BTreeMap;

use lethe_common::blob::NamedBlob;
use lethe_common::fault::Fault;
use lethe_common::ids::{Attempt, AuditId, PhaseIndex, ShardId, TaskId, WorkerId};
use serde::{Deserialize, Serialize};

use crate::plan::Plan;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The spec is opaque JSON, stored with the plan and handed to every program.
    Submitted {
        audit: AuditId,
        plan: Plan,
        spec_json: String,
    },
    CancelRequested {
        audit: AuditId,
    },
    WorkerJoined {
        worker: WorkerId,
    },
    WorkerLost {
        worker: WorkerId,
        reason: String,
    },
    /// A sign of life of one task: renews its lease.
    TaskProgressed {
        worker: WorkerId,
        task: TaskId,
    },
    /// A map task's or a gang rank's outputs are written; they become real if this is accepted.
    TaskCommitted {
        worker: WorkerId,
        task: TaskId,
        outputs: Vec<NamedBlob>,
        counts: Counts,
    },
    TaskFailed {
        worker: WorkerId,
        task: TaskId,
        fault: Fault,
    },
    ReduceDone {
        audit: AuditId,
        phase: PhaseIndex,
        attempt: Attempt,
        outputs: Vec<NamedBlob>,
        outline: Option<Outline>,
    },
    ReduceFailed {
        audit: AuditId,
        phase: PhaseIndex,
        attempt: Attempt,
        fault: Fault,
    },
    /// Time passed; leases may have expired.
    Tick,
}

/// The account of a task: read = scored + failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    pub read: u64,
    pub scored: u64,
    pub failed: u64,
}

/// What the plan phase found: how many shards there are, and which of them a sampling phase reads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Outline {
    pub shards: u32,
    /// Map phases that read only some shards, in ascending order. Others read all.
    pub samples: BTreeMap<PhaseIndex, Vec<ShardId>>,
}
