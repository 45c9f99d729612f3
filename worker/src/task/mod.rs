//! The seam between the executor and the programs: what a task is given and what it gives back.
//!
//! It must never hold a wire type or a pipe; programs are ordinary functions of these values.

mod blobs;
mod context;
mod files;
mod gang;

pub use blobs::Blobs;
pub use context::{TaskContext, TaskInput, TaskOutput};
pub use files::writer_of;
pub use gang::{Announce, Checkpoint, Connect, GangContext, GangMemory, Tell, Whereabouts};

use serde::{Deserialize, Serialize};

/// The account of a task: read = scored + failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    pub read: u64,
    pub scored: u64,
    pub failed: u64,
}

/// A task id for unit tests.
#[cfg(test)]
pub(crate) fn sample_id(counter: u64) -> lethe_common::ids::TaskId {
    use lethe_common::ids::{Attempt, AuditId, PhaseIndex, ShardId, TaskId, Term};
    let audit = AuditId::new("audit").expect("is an id");
    TaskId { audit, phase: PhaseIndex(2), shard: ShardId(0), attempt: Attempt { term: Term(1), counter } }
}
