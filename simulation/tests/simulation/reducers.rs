//! The coordinator's folds: each ends some time after it began, well or not.
//!
//! It must never know whether the leader that asked is still there; the attempt says that.

use lethe_common::fault::Fault;
use lethe_common::ids::{Attempt, AuditId, PhaseIndex, ShardId, TaskId};
use lethe_engine::{Conclusion, Event, Outline};

use crate::jobs::{Job, KINDS, outputs};

pub fn succeeded(job: &Job, phase: PhaseIndex, attempt: Attempt) -> Event {
    let task = TaskId { audit: job.id.clone(), phase, shard: ShardId(0), attempt };
    let outline: Option<Outline> = (phase == PhaseIndex(0)).then(|| job.outline.clone());
    Event::ReduceDone {
        audit: job.id.clone(),
        phase,
        attempt,
        outputs: outputs(&task, KINDS[0]),
        outline,
        conclusion: conclusion(job, phase),
    }
}

/// What the last phase says of the whole.
pub fn conclusion(job: &Job, phase: PhaseIndex) -> Option<Conclusion> {
    let is_last = phase.0 as usize + 1 == job.plan.phases.len();
    is_last.then(|| Conclusion { verdict: "nothing-found".to_owned(), headline: format!("{} came to this", job.id) })
}

pub fn failed(audit: AuditId, phase: PhaseIndex, attempt: Attempt) -> Event {
    let fault = if attempt.counter.is_multiple_of(2) {
        Fault::storage("the disk is full")
    } else {
        Fault::retryable("it panicked")
    };
    Event::ReduceFailed { audit, phase, attempt, fault }
}
