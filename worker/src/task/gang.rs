//! What a rank of a gang has beyond a map task: its place, a way to its peers, and a memory.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use lethe_collective::{Collective, CollectiveError};
use lethe_common::blob::{BlobRef, Digest};
use lethe_common::ids::{AuditId, Generation, PhaseIndex, TaskId};
use serde::{Deserialize, Serialize};

pub struct GangContext<'a> {
    pub rank: u32,
    pub world_size: u32,
    pub generation: Generation,
    /// The group's time-out: no collective call waits longer for a peer.
    pub timeout: Duration,
    /// Meets the peers of this generation; taken by whoever does. Drop the group before returning an error.
    pub connect: Option<Connect<'a>>,
    /// What an earlier generation left in the blob store; the same on every rank.
    pub checkpoint: Option<Checkpoint>,
    /// Tells the coordinator of a checkpoint that is written.
    pub announce: Announce,
    /// Tells the coordinator where this rank is.
    pub tell: Tell,
}

pub type Connect<'a> = Box<dyn FnOnce() -> Result<Box<dyn Collective>, CollectiveError> + 'a>;

/// From any thread: the step, and the blob.
pub type Announce = Arc<dyn Fn(u64, BlobRef) + Send + Sync>;

/// From any thread.
pub type Tell = Arc<dyn Fn(Whereabouts) + Send + Sync>;

/// Where a rank is in its training.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whereabouts {
    /// The step that is worked on, from 1; 0 before the first.
    pub step: u64,
    /// Steps of the whole training.
    pub steps: u64,
    /// The collective call that it issued last.
    pub call: String,
    /// Of the calls of this step, from 1; 0 before the first.
    pub call_number: u64,
    /// Whether it is in the call.
    pub waits: bool,
}

/// A training's state after a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub step: u64,
    pub blob: BlobRef,
}

/// What a program keeps in the executor from one generation to the next of the same phase of the same
/// audit (weights, optimiser state, the last applied step). It is dropped when another gang starts.
#[derive(Default)]
pub struct GangMemory {
    owner: Option<Owner>,
    state: Option<Box<dyn Any>>,
    /// This rank took the last step.
    has_ended: bool,
}

/// Whose state it is. The spec tells an audit from an earlier one of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    audit: AuditId,
    phase: PhaseIndex,
    spec: Digest,
}

impl Owner {
    pub(super) fn of(task: &TaskId, spec_json: &str) -> Self {
        Self { audit: task.audit.clone(), phase: task.phase, spec: Digest::of(spec_json.as_bytes()) }
    }
}

impl GangMemory {
    /// The state that the last generation left, if it left one of this type.
    pub fn take<T: Any>(&mut self) -> Option<T> {
        self.state.take()?.downcast().ok().map(|state| *state)
    }

    /// Leaves a state for the next generation, in place of any other.
    pub fn keep<T: Any>(&mut self, state: T) {
        self.state = Some(Box::new(state));
        self.has_ended = false;
    }

    /// The same at the training's end: a peer may have been lost as it left, and another generation asks who was there.
    pub fn keep_at_end<T: Any>(&mut self, state: T) {
        self.state = Some(Box::new(state));
        self.has_ended = true;
    }

    /// Forgets what belongs to another audit or phase than this gang's.
    pub(crate) fn enter(&mut self, task: &TaskId, spec_json: &str) {
        let owner = Owner::of(task, spec_json);
        if self.owner.as_ref() != Some(&owner) {
            *self = Self { owner: Some(owner), ..Self::default() };
        }
    }

    /// Forgets the gang of a phase that a map task of the same audit shows to be over, and one that came to its end here once
    /// this worker does anything else. One that waits for a replacement is remembered through other audits' tasks.
    pub(crate) fn pass(&mut self, task: &TaskId) {
        let is_other = |owner: &Owner| (&owner.audit, owner.phase) != (&task.audit, task.phase);
        if self.owner.as_ref().is_some_and(|owner| is_other(owner) && (self.has_ended || owner.audit == task.audit)) {
            self.forget();
        }
    }

    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::sample_id;

    #[test]
    fn a_state_outlives_a_generation_but_not_its_phase() {
        let other_phase = TaskId { phase: PhaseIndex(3), ..sample_id(2) };
        let mut memory = GangMemory::default();
        memory.enter(&sample_id(0), "{}");
        memory.keep(7_u64);
        memory.enter(&sample_id(1), "{}");
        assert_eq!(memory.take::<u64>(), Some(7));
        memory.keep(8_u64);
        memory.enter(&other_phase, "{}");
        assert_eq!(memory.take::<u64>(), None);
        memory.keep(9_u64);
        memory.enter(&other_phase, "{\"audit\": 2}");
        assert_eq!(memory.take::<u64>(), None, "another audit of the same name");
        memory.keep(10_u64);
        memory.pass(&other_phase);
        assert_eq!(memory.take::<u64>(), Some(10));
        memory.keep(11_u64);
        memory.pass(&sample_id(0));
        assert_eq!(memory.take::<u64>(), None, "its phase is over");
        let other_audit = TaskId { audit: AuditId::new("another").expect("is a name"), ..sample_id(3) };
        memory.enter(&sample_id(0), "{}");
        memory.keep(12_u64);
        memory.pass(&other_audit);
        assert_eq!(memory.take::<u64>(), Some(12), "it waits for a replacement");
        memory.keep_at_end(13_u64);
        memory.pass(&sample_id(0));
        assert_eq!(memory.take::<u64>(), Some(13), "a peer may ask for it");
        memory.keep_at_end(14_u64);
        memory.pass(&other_audit);
        assert_eq!(memory.take::<u64>(), None, "nobody asked for it");
    }
}
