//! What one step may touch besides the audit it speaks of: the time, the workers and the outbox.
//!
//! It must never outlive its step.

use lethe_common::ids::{TaskId, Term, WorkerId};
use lethe_common::time::Millis;

use crate::command::Command;
use crate::gang_size::Presence;
use crate::knobs::Knobs;
use crate::outbox::Outbox;
use crate::workers::Workers;

pub(crate) struct Turn<'a> {
    pub now: Millis,
    pub term: Term,
    pub knobs: &'a Knobs,
    pub workers: &'a mut Workers,
    pub outbox: Outbox,
    /// A gang gathers: the idle workers are kept for it.
    pub gathers: bool,
}

impl Turn<'_> {
    pub fn presence(&self) -> Presence {
        Presence { now: self.now, joined: self.workers.joined(), shrink_ms: self.knobs.shrink_ms }
    }

    /// Stops a task that the worker holds; nothing happens where it does not, or was told before.
    pub fn abort(&mut self, worker: &WorkerId, task: &TaskId, reason: &str) {
        let until = self.now.plus_ms(self.knobs.abort_ms);
        if self.workers.abort(worker, task, until) {
            let (worker, task) = (worker.clone(), task.clone());
            self.outbox.push(Command::Abort { worker, task, reason: reason.to_owned() });
        }
    }
}
