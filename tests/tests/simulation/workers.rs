//! One simulated worker: an agent with at most one task, which goes on when its session breaks.
//!
//! It must never know more than a real one: what it was sent, and the time.

use lethe_common::ids::{Attempt, AuditId, PhaseIndex, TaskId};
use lethe_common::time::Millis;

/// ```text
///   Down --restart--> Up, no session --dial--> Up, with a session
///    ^ crash                ^ broken session, new leader |
///    +----------------------+----------------------------+
/// ```
#[derive(Debug, Default)]
pub struct SimWorker {
    pub up: bool,
    /// The session with the current leader; a number of its own for each dial.
    pub session: Option<u64>,
    pub running: Option<Run>,
}

#[derive(Debug, Clone)]
pub struct Run {
    pub task: TaskId,
    /// A gang's size; nothing for a map task.
    pub world_size: Option<u32>,
    pub began: Millis,
    pub ends: Millis,
    /// It will neither end nor show a sign of life.
    pub hangs: bool,
}

impl SimWorker {
    pub fn crash(&mut self) {
        *self = Self::default();
    }

    pub fn is_running(&self, task: &TaskId) -> bool {
        self.running.as_ref().is_some_and(|run| run.task == *task)
    }
}

impl Run {
    /// What all members of one generation share.
    pub fn gang(&self) -> (AuditId, PhaseIndex, Attempt) {
        (self.task.audit.clone(), self.task.phase, self.task.attempt)
    }
}
