//! Why a task comes back undone.
//!
//! They must never blame a task for what its worker did.

use lethe_common::fault::Fault;
use lethe_common::ids::TaskId;

pub(super) fn aborted(task: &TaskId, reason: &str) -> Fault {
    Fault::retryable(format!("{task}: aborted: {reason}"))
}

pub(super) fn handed_back(task: &TaskId, reason: &str) -> Fault {
    Fault::handed_back(format!("{task}: handed back: {reason}"))
}

pub(super) fn never_ready(task: &TaskId) -> Fault {
    Fault::retryable(format!("{task}: the executor was not ready in time"))
}
