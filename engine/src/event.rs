//! Everything that can happen to the engine. One fact is one event: a missed heartbeat, a failed send
//! and a closed stream all arrive as `WorkerLost`.

use std::collections::BTreeMap;

use lethe_common::blob::{BlobRef, NamedBlob};
use lethe_common::fault::Fault;
use lethe_common::ids::{Attempt, AuditId, PhaseIndex, ShardId, TaskId, WorkerId};
use serde::{Deserialize, Serialize};

use crate::places::GangPlace;
use crate::plan::Plan;
use crate::record::{Conclusion, Control, GangCheckpoint, Marked};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The spec is opaque JSON, stored with the plan and handed to every program.
    Submitted {
        audit: AuditId,
        plan: Plan,
        spec_json: String,
        options: Options,
    },
    /// A new audit that takes over the results of another's phases before `from`. One that cannot
    /// ([`crate::Engine::check_rerun`]) is no audit.
    RerunRequested {
        audit: AuditId,
        of: AuditId,
        from: PhaseIndex,
        plan: Plan,
        spec_json: String,
        options: Options,
    },
    /// A person asks it of an audit; by whom is kept where it has an effect.
    ControlRequested {
        audit: AuditId,
        control: Control,
        by: String,
    },
    /// A person's marks are written together with all that were there before. They are kept if those still are: where somebody
    /// else's came in between, they are not.
    MarksMade {
        audit: AuditId,
        by: String,
        marks: BlobRef,
        replaces: Option<BlobRef>,
        made: Marked,
    },
    WorkerJoined {
        worker: WorkerId,
        profile: Profile,
    },
    /// It is given nothing new; what it does not finish comes back as faults.
    WorkerDraining {
        worker: WorkerId,
        reason: String,
    },
    WorkerLost {
        worker: WorkerId,
        reason: String,
    },
    /// A sign of life of one task: renews the worker's leases.
    TaskProgressed {
        worker: WorkerId,
        task: TaskId,
    },
    /// As `TaskProgressed`, of a gang's rank that says where it is.
    GangProgressed {
        worker: WorkerId,
        task: TaskId,
        place: GangPlace,
    },
    /// A map task's or a gang rank's outputs are written; they become real if this is accepted.
    TaskCommitted {
        worker: WorkerId,
        task: TaskId,
        outputs: Vec<NamedBlob>,
        counts: Counts,
    },
    /// A gang's leading rank has written its state; it is kept if this is accepted.
    GangCheckpointed {
        worker: WorkerId,
        task: TaskId,
        checkpoint: GangCheckpoint,
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
        conclusion: Option<Conclusion>,
    },
    ReduceFailed {
        audit: AuditId,
        phase: PhaseIndex,
        attempt: Attempt,
        fault: Fault,
    },
    /// The engine heard nothing for so long though the others may have spoken: the store was away, or
    /// the process stood still. Nobody is to blame for that time.
    Stalled {
        ms: u64,
    },
    /// Time passed; leases may have expired.
    Tick,
}

/// What a submitter asks for beside the work itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// Whose quota it counts against.
    pub submitter: String,
    /// Higher goes first.
    pub priority: i32,
    /// The audit fails when more of its shards than this are quarantined, in parts per million.
    pub max_lost_ppm: u32,
    /// The share of shards that two workers compute and that must agree, in parts per million.
    pub check_ppm: u32,
    /// Whether the last phase begins only when a person has approved.
    pub approval: bool,
    /// The submitter's place in a trace, for whoever tells how long things took; opaque here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        let (submitter, traceparent) = (String::new(), None);
        Self { submitter, priority: 0, max_lost_ppm: 20_000, check_ppm: 0, approval: false, traceparent }
    }
}

/// What a worker says of itself when it joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Workers of one kind have the same device: their limits and the last bits of their results are alike.
    pub kind: String,
    /// Where it runs, for people.
    pub host: String,
    /// Map tasks it holds at once: one runs, the others wait on the worker.
    pub slots: u32,
}

/// The account of a task: read = scored + failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    pub read: u64,
    pub scored: u64,
    pub failed: u64,
}

impl Counts {
    /// Saturating, since a worker may say anything.
    pub fn plus(self, other: Self) -> Self {
        Self {
            read: self.read.saturating_add(other.read),
            scored: self.scored.saturating_add(other.scored),
            failed: self.failed.saturating_add(other.failed),
        }
    }
}

/// What the plan phase found: how many shards there are, and which of them a sampling phase reads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Outline {
    pub shards: u32,
    /// Map phases that read only some shards, in ascending order. Others read all.
    pub samples: BTreeMap<PhaseIndex, Vec<ShardId>>,
}
