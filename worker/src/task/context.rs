//! One task as a program sees it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use lethe_common::blob::{BlobError, NamedBlob};
use lethe_common::fault::Fault;
use lethe_common::ids::{ShardId, TaskId};
use lethe_common::spec::Spec;
use lethe_data::Prefetch;
use lethe_model::tch::Device;
use serde::{Deserialize, Serialize};

use super::blobs::blob_fault;
use super::{Blobs, Counts, Kept};

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
    /// In which the device waited for samples to be read and decoded, by the clock.
    pub waited_ms: u64,
}

pub struct TaskContext<'a> {
    /// `task.shard` is the shard of a map task, and the rank of a gang member.
    pub task: TaskId,
    pub spec: Spec,
    pub inputs: Vec<TaskInput>,
    /// How often this kind of worker ran out of memory on the phase.
    pub batch_halvings: u32,
    /// Where models and batches go; what leaves a program comes back to the CPU.
    pub device: Device,
    /// Shared with threads that write while a training goes on.
    pub blobs: &'a Arc<Blobs>,
    /// What earlier tasks of the same phase left here.
    pub kept: &'a Kept,
    /// The task's shard, where it was opened before the task began.
    pub opened: Cell<Option<Prefetch>>,
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

    /// As many rows at once as this kind of worker has the memory for, of the number that is wanted.
    ///
    /// Halving changes the last bits of what is computed (kernels sum in another order), so that scores are
    /// bit-identical for equal batches only: it is the coordinator that remembers and shows it, not a worker's whim.
    pub fn rows_at_once(&self, wanted: usize) -> usize {
        wanted.checked_shr(self.batch_halvings).unwrap_or(0).max(1)
    }

    /// The spec's batch of scoring, as this kind of worker can take it.
    pub fn batch(&self) -> usize {
        self.rows_at_once(self.spec.score.batch as usize)
    }

    /// Reads and verifies what all tasks of the phase share. Damage is fatal, since every other task meets it too.
    pub fn get(&self, blob: &NamedBlob) -> Result<Bytes, Fault> {
        self.blobs.get(&blob.blob).map_err(|error| match error {
            BlobError::Damaged { .. } => Fault::fatal(error.to_string()),
            BlobError::Open { .. } | BlobError::Access { .. } | BlobError::TooLarge { .. } => blob_fault(error),
        })
    }

    /// Reads and verifies what belongs to the task's own shard. Damage is that shard's fault alone.
    pub fn get_own(&self, blob: &NamedBlob) -> Result<Bytes, Fault> {
        self.blobs.get(&blob.blob).map_err(|error| match error {
            BlobError::Damaged { .. } => Fault::bad_shard(error.to_string()),
            BlobError::Open { .. } | BlobError::Access { .. } | BlobError::TooLarge { .. } => blob_fault(error),
        })
    }

    /// Writes an output under this attempt's own path.
    pub fn put(&self, name: &str, bytes: Bytes) -> Result<NamedBlob, Fault> {
        self.blobs.put(&self.task, name, bytes)
    }
}
