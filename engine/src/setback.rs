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
    /// The worker went away, or its lease ran out.
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
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Fault(fault) => fault.is_fatal(),
            Self::Loss(_) => false,
        }
    }

    pub fn message(&self) -> &str {
        match self {
            Self::Fault(fault) => &fault.message,
            Self::Loss(reason) => reason,
        }
    }
}
