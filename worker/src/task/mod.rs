//! The seam between the executor and the programs: what a task is given and what it gives back.
//!
//! It must never hold a wire type or a pipe; programs are ordinary functions of these values.

mod blobs;
mod context;
mod files;
mod gang;
mod kept;
#[cfg(test)]
mod rig;
mod times;

pub use blobs::Blobs;
pub(crate) use blobs::blob_fault;
pub use context::{TaskContext, TaskInput, TaskOutput};
pub use files::writer_of;
pub use gang::{Announce, Checkpoint, Connect, GangContext, GangMemory, Tell, Whereabouts};
pub use kept::Kept;
#[cfg(test)]
pub(crate) use rig::{Rig, plain_spec};
pub use times::{CallTime, StepTime};

use serde::{Deserialize, Serialize};

/// The account of a task: read = scored + failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    pub read: u64,
    pub scored: u64,
    pub failed: u64,
}

impl Counts {
    /// Of a task in which nothing can fail.
    pub fn all(read: u64) -> Self {
        Self { read, scored: read, failed: 0 }
    }
}

/// What a worker's map tasks came to since its start, by the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    pub samples: u64,
    pub tasks_ms: u64,
    /// Of those, in which the device waited for samples to be read and decoded.
    pub waited_ms: u64,
}

impl Pace {
    pub fn add(&mut self, output: &TaskOutput, took_ms: u64) {
        self.samples += output.counts.read;
        self.tasks_ms += took_ms;
        self.waited_ms += output.waited_ms;
    }
}

/// A task id for unit tests.
#[cfg(test)]
pub(crate) fn sample_id(counter: u64) -> lethe_common::ids::TaskId {
    use lethe_common::ids::{Attempt, AuditId, PhaseIndex, ShardId, TaskId, Term};
    let audit = AuditId::new("audit").expect("is an id");
    TaskId { audit, phase: PhaseIndex(2), shard: ShardId(0), attempt: Attempt { term: Term(1), counter } }
}
