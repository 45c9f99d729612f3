//! What a watcher is shown: the engine's view, and how far the tasks in flight are.
//!
//! It must never count what is in flight as done, but for a gang's steps, which have no other account.

use lethe_common::ids::PhaseIndex;
use lethe_engine::{AuditState, AuditView, PhaseState, PhaseView};

use super::progress::{Progress, ProgressBoard};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// A gang's `done` and `total` are its steps, once a rank has told them.
    pub view: AuditView,
    /// By phase: within the tasks in flight of a map.
    pub in_flight: Vec<Progress>,
}

impl Status {
    pub(super) fn new(mut view: AuditView, board: &ProgressBoard) -> Self {
        let audit = view.audit.clone();
        let mut in_flight = Vec::with_capacity(view.phases.len());
        for (phase, index) in view.phases.iter_mut().zip(0..) {
            let index = PhaseIndex(index);
            if phase.kind == "gang" {
                count_steps(phase, board.furthest(&audit, index));
                in_flight.push(Progress::default());
            } else {
                in_flight.push(board.sum(&audit, index));
            }
        }
        Self { view, in_flight }
    }

    /// Nothing of the audit changes any more.
    pub fn is_final(&self) -> bool {
        match self.view.state {
            AuditState::Running => false,
            AuditState::Succeeded { .. } | AuditState::Failed { .. } | AuditState::Cancelled { .. } => true,
        }
    }
}

fn count_steps(phase: &mut PhaseView, steps: Progress) {
    if steps.total == 0 {
        return;
    }
    phase.total = steps.total;
    phase.done = match phase.state {
        PhaseState::Waiting | PhaseState::Running | PhaseState::Failed { .. } => steps.done,
        PhaseState::Done { .. } => steps.total,
    };
}
