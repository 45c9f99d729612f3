//! What a person is shown of an audit: derived from the durable state and the leases, never stored.

use lethe_common::blob::NamedBlob;
use lethe_common::ids::{AuditId, PhaseIndex};
use lethe_common::time::Millis;

use crate::audit::Audit;
use crate::event::Counts;
use crate::ledger::{Ledger, Stage};
use crate::plan::PhaseKind;
use crate::record::{AuditState, PhaseRecord, PhaseState};
use crate::workers::Workers;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditView {
    pub audit: AuditId,
    pub state: AuditState,
    pub phases: Vec<PhaseView>,
    pub workers: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseView {
    pub name: String,
    pub kind: &'static str,
    pub state: PhaseState,
    pub started: Option<Millis>,
    /// Committed tasks of all; a reduce or gang counts as one.
    pub done: u64,
    pub total: u64,
    pub retries: u64,
    pub counts: Counts,
    /// Why nothing of it runs, where nothing does, such as "1 of 2 workers joined".
    pub reason: String,
    /// What a reduce or gang gave.
    pub outputs: Vec<NamedBlob>,
}

impl AuditView {
    pub(crate) fn of(audit: &Audit, workers: &Workers) -> Self {
        let ledger = &audit.ledger;
        let phases = (0..ledger.phases.len() as u32).map(|i| PhaseView::of(audit, workers, PhaseIndex(i)));
        Self {
            audit: ledger.id.clone(),
            state: ledger.audit.state.clone(),
            phases: phases.collect(),
            workers: workers.joined() as u32,
        }
    }
}

impl PhaseView {
    fn of(audit: &Audit, workers: &Workers, phase: PhaseIndex) -> Self {
        let ledger = &audit.ledger;
        let (spec, record) = (ledger.spec(phase), ledger.phase(phase));
        let (done, total) = tally(ledger, phase);
        Self {
            name: spec.name.clone(),
            kind: match spec.kind {
                PhaseKind::Map { .. } => "map",
                PhaseKind::Reduce { .. } => "reduce",
                PhaseKind::Gang { .. } => "gang",
            },
            state: record.state.clone(),
            started: record.started,
            done,
            total,
            retries: record.retries,
            counts: ledger.counts(phase),
            reason: reason(audit, workers, record),
            outputs: record.outputs.clone(),
        }
    }
}

/// Committed tasks, and all of them; of a map no outline sized yet, all is 0.
fn tally(ledger: &Ledger, phase: PhaseIndex) -> (u64, u64) {
    let is_done = matches!(ledger.phase(phase).state, PhaseState::Done { .. });
    match ledger.spec(phase).kind {
        PhaseKind::Reduce { .. } | PhaseKind::Gang { .. } => (u64::from(is_done), 1),
        PhaseKind::Map { .. } => {
            let done = ledger.results(phase).count() as u64;
            (done, if is_done { done } else { ledger.shards(phase).map_or(0, |s| s.len() as u64) })
        }
    }
}

fn reason(audit: &Audit, workers: &Workers, record: &PhaseRecord) -> String {
    match &record.state {
        PhaseState::Waiting => match audit.ledger.stage() {
            Stage::In(running) => format!("waiting for phase {}", audit.ledger.spec(running).name),
            Stage::PastLast | Stage::Ended => "the audit ended before it".to_owned(),
        },
        PhaseState::Running => audit.reason(workers),
        PhaseState::Done { .. } => String::new(),
        PhaseState::Failed { reason, .. } => reason.clone(),
    }
}
