//! Checkpoints of a training that goes on meanwhile: the state is copied between two steps, and written by a thread.
//!
//! It must never make a step wait for a disk, and never announce what is not written: a slow store has fewer checkpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use lethe_common::blob::Digest;
use lethe_common::ids::TaskId;
use lethe_model::tch::Tensor;

use super::snapshot;
use super::trainee::Trainee;
use crate::task::{Announce, Blobs};

/// The leading rank's; the others have the same weights.
pub struct Saver {
    blobs: Arc<Blobs>,
    task: TaskId,
    announce: Announce,
    every: Duration,
    /// One at a time is written.
    writing: Arc<AtomicBool>,
}

impl Saver {
    pub fn new(blobs: Arc<Blobs>, task: TaskId, announce: Announce, every: Duration) -> Self {
        Self { blobs, task, announce, every, writing: Arc::default() }
    }

    /// Whether a checkpoint is due and none is being written.
    pub fn is_due(&self, trainee: &Trainee) -> bool {
        trainee.kept_at.is_none_or(|at| at.elapsed() >= self.every) && !self.writing.load(Ordering::SeqCst)
    }

    /// Begins a checkpoint. What fails is told and tried again when the next is due: a training does not end because its
    /// checkpoint could not be written.
    pub fn keep(&self, trainee: &mut Trainee, moments: &[Tensor; 2], origin: Digest) {
        trainee.kept_at = Some(Instant::now());
        match snapshot::encode(trainee, moments, origin) {
            Ok(bytes) => self.write(trainee.applied(), bytes.into()),
            Err(error) => tracing::warn!(%error, "no checkpoint was taken"),
        }
    }

    fn write(&self, step: u64, bytes: Bytes) {
        let (blobs, task, announce) = (Arc::clone(&self.blobs), self.task.clone(), Arc::clone(&self.announce));
        let writing = Arc::clone(&self.writing);
        writing.store(true, Ordering::SeqCst);
        std::thread::spawn(move || {
            match blobs.put(&task, &format!("checkpoint-{step}"), bytes) {
                Ok(written) => announce(step, written.blob),
                Err(fault) => tracing::warn!(%fault, step, "a checkpoint was not written"),
            }
            writing.store(false, Ordering::SeqCst);
        });
    }
}
