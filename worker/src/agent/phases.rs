//! What the session was told of map phases, for the leases that follow.
//!
//! It must never outlive its session: the next leader tells it again.

use std::collections::VecDeque;

use lethe_common::ids::TaskId;
use lethe_proto::v1;

#[derive(Debug, Default)]
pub(super) struct Phases {
    /// The oldest first.
    known: VecDeque<v1::MapPhase>,
}

impl Phases {
    /// Phases that are kept; a worker serves few audits at a time.
    pub(super) const MAX: usize = 64;

    pub(super) fn learn(&mut self, phase: v1::MapPhase) {
        self.known.retain(|known| (&known.audit, known.phase) != (&phase.audit, phase.phase));
        if self.known.len() == Self::MAX {
            self.known.pop_front();
        }
        self.known.push_back(phase);
    }

    pub(super) fn get(&self, task: &TaskId) -> Option<&v1::MapPhase> {
        self.known.iter().rev().find(|known| known.audit == task.audit.as_str() && known.phase == task.phase.0)
    }
}

#[cfg(test)]
mod tests {
    use lethe_common::ids::PhaseIndex;

    use super::*;
    use crate::task::sample_id;

    fn phase(phase: u32, program: &str) -> v1::MapPhase {
        v1::MapPhase { audit: "audit".into(), phase, program: program.into(), ..Default::default() }
    }

    fn program(phases: &Phases, phase: u32) -> Option<&str> {
        let task = TaskId { phase: PhaseIndex(phase), ..sample_id(1) };
        phases.get(&task).map(|phase| phase.program.as_str())
    }

    #[test]
    fn the_oldest_phase_goes_first_and_what_is_said_again_is_young() {
        let mut phases = Phases::default();
        (0..64).for_each(|i| phases.learn(phase(i, "score")));
        phases.learn(phase(0, "rescore"));
        phases.learn(phase(64, "score"));
        assert_eq!(program(&phases, 0), Some("rescore"));
        assert_eq!(program(&phases, 1), None);
        assert_eq!(program(&phases, 64), Some("score"));
        assert_eq!(phases.known.len(), Phases::MAX);
    }
}
