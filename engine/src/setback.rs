//! How a try of a task ended without a result, and what follows.
//!
//! It must never confuse a fault, which the task reported, with a loss, which it could not.

use lethe_common::fault::Fault;
use lethe_common::ids::{TaskId, WorkerId};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setback {
    pub worker: WorkerId,
    pub task: TaskId,
    pub cause: Cause,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    Fault(Fault),
    /// The worker went away, or its lease ran out, while the task ran.
    Loss(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nobody waits for that try any more.
    Ignored,
    Retried,
    /// The audit fails, for this reason.
    Fails(String),
}

impl Cause {
    pub fn message(&self) -> &str {
        match self {
            Self::Fault(fault) => &fault.message,
            Self::Loss(reason) => reason,
        }
    }
}

/// The setbacks of all that one worker dropped at once: the first was running and may be to blame, the others
/// only waited.
pub(crate) fn of_dropped(worker: &WorkerId, dropped: Vec<TaskId>, reason: &str) -> Vec<Setback> {
    let cause = |index: usize| match index {
        0 => Cause::Loss(reason.to_owned()),
        _ => Cause::Fault(Fault::handed_back(reason)),
    };
    let setback = |(index, task)| Setback { worker: worker.clone(), task, cause: cause(index) };
    dropped.into_iter().enumerate().map(setback).collect()
}
