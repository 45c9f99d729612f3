//! What one step may touch besides the audit it speaks of: the time, the workers and the outbox.
//!
//! It must never outlive its step.

use lethe_common::ids::{Term, WorkerId};
use lethe_common::time::Millis;

use crate::command::Command;
use crate::knobs::Knobs;
use crate::outbox::Outbox;
use crate::workers::Workers;

pub(crate) struct Turn<'a> {
    pub now: Millis,
    pub term: Term,
    pub knobs: &'a Knobs,
    pub workers: &'a mut Workers,
    pub outbox: Outbox,
    /// An earlier audit's gang is gathering all idle workers; later audits get none this time.
    pub gathering: bool,
}

impl Turn<'_> {
    /// Workers that may be given a task now, in their order.
    pub fn idle(&self) -> Vec<WorkerId> {
        if self.gathering { Vec::new() } else { self.workers.idle() }
    }

    /// Stops whatever the worker is busy with; nothing happens to one that is not.
    pub fn abort(&mut self, worker: &WorkerId, reason: &str) {
        let until = self.now.plus_ms(self.knobs.abort_ms);
        if let Some(task) = self.workers.abort(worker, until) {
            self.outbox.push(Command::Abort { worker: worker.clone(), task, reason: reason.to_owned() });
        }
    }
}
