//! How many there are of what, at the moment of a scrape.
//!
//! It must never be kept up to date between scrapes: most changes are seen by nobody.

use std::collections::BTreeMap;

use lethe_engine::{AuditState, AuditView, PhaseState, WorkerView};

use super::Metrics;

pub(super) const AUDIT_STATES: [&str; 4] = ["queued", "running", "paused", "awaiting_approval"];
const WORKER_STATES: [&str; 5] = ["idle", "busy", "stopping", "resting", "draining"];

/// Of a coordinator that leads; all of it is zero elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// Audits that have not ended, by their state.
    pub audits: BTreeMap<&'static str, u64>,
    pub workers: BTreeMap<&'static str, u64>,
    /// Of running phases, by the phase's name.
    pub tasks: BTreeMap<String, Tasks>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tasks {
    pub open: u64,
    pub leased: u64,
}

impl Census {
    pub(crate) fn of(audits: &[AuditView], workers: &[WorkerView]) -> Self {
        let mut census = Self::default();
        for audit in audits.iter().filter(|audit| audit.state == AuditState::Running) {
            *census.audits.entry(word(audit)).or_default() += 1;
            for phase in audit.phases.iter().filter(|phase| phase.state == PhaseState::Running) {
                let open = phase.total.saturating_sub(phase.done + phase.quarantined);
                census.tasks.entry(phase.name.clone()).or_default().open += open;
            }
        }
        for worker in workers {
            *census.workers.entry(worker.state).or_default() += 1;
            for task in &worker.tasks {
                let audit = audits.iter().find(|audit| audit.audit == task.audit);
                if let Some(phase) = audit.and_then(|audit| audit.phases.get(task.phase.0 as usize)) {
                    census.tasks.entry(phase.name.clone()).or_default().leased += 1;
                }
            }
        }
        census
    }
}

fn word(audit: &AuditView) -> &'static str {
    match (audit.paused, audit.queue_position) {
        (Some(_), _) => "paused",
        (None, Some(_)) => "queued",
        (None, None) if audit.awaits_approval => "awaiting_approval",
        (None, None) => "running",
    }
}

impl Metrics {
    /// In place of the last one: a phase that nothing runs of is shown no more.
    pub(crate) fn take_census(&self, census: &Census) {
        for state in AUDIT_STATES {
            self.audits.get_or_create(&[("state", state)]).set(count(&census.audits, state));
        }
        for state in WORKER_STATES {
            self.workers.get_or_create(&[("state", state)]).set(count(&census.workers, state));
        }
        self.tasks_waiting.clear();
        self.tasks_leased.clear();
        for (phase, Tasks { open, leased }) in &census.tasks {
            let label = [("phase", phase.clone())];
            self.tasks_waiting.get_or_create(&label).set(open.saturating_sub(*leased) as i64);
            self.tasks_leased.get_or_create(&label).set(*leased as i64);
        }
    }
}

fn count(of: &BTreeMap<&'static str, u64>, word: &'static str) -> i64 {
    of.get(word).copied().unwrap_or(0) as i64
}
