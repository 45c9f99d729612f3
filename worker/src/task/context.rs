//! One task as a program sees it.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use lethe_common::blob::NamedBlob;
use lethe_common::fault::Fault;
use lethe_common::ids::{ShardId, TaskId};
use lethe_common::spec::Spec;
use serde::{Deserialize, Serialize};

use super::{Blobs, Counts};

/// The committed outputs of one task of an earlier phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskInput {
    /// The earlier phase's name.
    pub phase: String,
    pub shard: ShardId,
    pub blobs: Vec<NamedBlob>,
}

/// What a task leaves behind; it becomes real when the coordinator accepts it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TaskOutput {
    pub outputs: Vec<NamedBlob>,
    pub counts: Counts,
}

pub struct TaskContext<'a> {
    /// `task.shard` is the shard of a map task, and the rank of a gang member.
    pub task: TaskId,
    pub spec: Spec,
    pub inputs: Vec<TaskInput>,
    pub blobs: &'a Blobs,
    /// Reports (done, total) units of work; cheap, since most calls are dropped.
    pub progress: &'a dyn Fn(u64, u64),
    /// Set when the coordinator gave the task up. A program that does not look is killed.
    pub cancelled: &'a AtomicBool,
}

impl TaskContext<'_> {
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// An error once the task is aborted: call it between batches and between steps.
    pub fn stop_if_cancelled(&self) -> Result<(), Fault> {
        if self.is_cancelled() { Err(Fault::retryable(format!("{}: aborted", self.task))) } else { Ok(()) }
    }

    /// The inputs that come from one phase, in ascending order of shard.
    pub fn inputs_of<'s>(&'s self, phase: &'s str) -> impl Iterator<Item = &'s TaskInput> {
        self.inputs.iter().filter(move |input| input.phase == phase)
    }

    /// Reads and verifies a blob.
    pub fn get(&self, blob: &NamedBlob) -> Result<Bytes, Fault> {
        self.blobs.get(&blob.blob)
    }

    /// Writes an output under this attempt's own path.
    pub fn put(&self, name: &str, bytes: Bytes) -> Result<NamedBlob, Fault> {
        self.blobs.put(&self.task, name, bytes)
    }
}
