//! What passes through the driver, counted as it does: events in, commands out.

use lethe_common::program::{GangProgram, MapProgram};
use lethe_engine::{AuditState, Command, CommitOutcome, Event};

use super::Metrics;

/// A stored plan of another build may name what this one does not know.
const UNKNOWN_PROGRAM: &str = "other";

impl Metrics {
    pub(crate) fn event(&self, event: &Event) {
        match event {
            Event::Submitted { .. } | Event::RerunRequested { .. } => {} // the record that follows is counted
            Event::WorkerJoined { .. } => drop(self.workers_joined.inc()),
            Event::TaskFailed { fault, .. } | Event::ReduceFailed { fault, .. } => {
                self.faults.get_or_create(&[("kind", fault.kind.as_str())]).inc();
            }
            Event::Stalled { ms } => drop(self.stalled.inc_by(*ms as f64 / 1e3)),
            Event::ControlRequested { .. }
            | Event::MarksMade { .. }
            | Event::WorkerDraining { .. }
            | Event::WorkerLost { .. } // counted where it is known whether it had said so
            | Event::TaskProgressed { .. }
            | Event::GangProgressed { .. }
            | Event::TaskCommitted { .. }
            | Event::GangCheckpointed { .. }
            | Event::ReduceDone { .. }
            | Event::Tick => {}
        }
    }

    /// A worker whose session ended: one that said before that it goes, or not.
    pub(crate) fn worker_gone(&self, had_said_so: bool) {
        let counter = if had_said_so { &self.workers_stopped } else { &self.workers_lost };
        counter.inc();
    }

    /// A command that is about to be done. The program is that of a map task that is started.
    pub(crate) fn command(&self, command: &Command) {
        match command {
            Command::StartGangMember(start) => {
                let program = GangProgram::parse(&start.program).map_or(UNKNOWN_PROGRAM, GangProgram::as_str);
                self.leases.get_or_create(&[("program", program)]).inc();
            }
            Command::Acknowledge { outcome, .. } => {
                let outcome = match outcome {
                    CommitOutcome::Applied => "applied",
                    CommitOutcome::Stale => "stale",
                    CommitOutcome::Provisional => "provisional",
                    CommitOutcome::Refused => "refused",
                };
                self.commits.get_or_create(&[("outcome", outcome)]).inc();
            }
            Command::StartMap(_)
            | Command::Persist(_)
            | Command::StartReduce { .. }
            | Command::AbortReduce { .. }
            | Command::Abort { .. }
            | Command::AcknowledgeCheckpoint { .. }
            | Command::AuditEnded { .. } => {}
        }
    }

    pub(crate) fn leased_map(&self, program: &str) {
        let program = MapProgram::parse(program).map_or(UNKNOWN_PROGRAM, MapProgram::as_str);
        self.leases.get_or_create(&[("program", program)]).inc();
    }

    pub(crate) fn backlog(&self, events: usize) {
        self.backlog.set(events as i64);
    }

    pub(super) fn audit_ended(&self, state: &AuditState) {
        let word = match state {
            AuditState::Running => return,
            AuditState::Succeeded { .. } => "succeeded",
            AuditState::Failed { .. } => "failed",
            AuditState::Cancelled { .. } => "cancelled",
        };
        self.audits_ended.get_or_create(&[("state", word)]).inc();
    }
}
