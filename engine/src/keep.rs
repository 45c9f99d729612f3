//! What becomes of audits after their end: run again under another name, and forgotten in time.
//!
//! It must never change what an audit that has ended came to, nor forget one whose results another still uses.

use lethe_common::blob::parse_attempt_path;
use lethe_common::ids::{AuditId, PhaseIndex};

use crate::audit::Work;
use crate::engine::Engine;
use crate::ledger::{Ledger, Request};
use crate::plan::Plan;
use crate::record::ShardResult;
use crate::turn::Turn;

/// What the name of a blob of marks begins with, and of no other.
pub const MARKS: &str = "marks-";

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RerunError {
    #[error("there is no audit {0}; `lethe list --all` shows those that are kept")]
    Unknown(AuditId),
    #[error("audit {0} exists; choose another id for the re-run")]
    Exists(AuditId),
    #[error("audit {of} has not finished phase {phase}, so that a re-run cannot begin after it; begin earlier")]
    Unfinished { of: AuditId, phase: String },
    #[error("the re-run's plan differs from that of audit {of} before phase {phase}; begin earlier")]
    OtherPlan { of: AuditId, phase: String },
    #[error("the plan has {phases} phases; there is none with index {from}")]
    NoPhase { phases: usize, from: PhaseIndex },
}

impl Engine {
    /// Whether an audit can take over another's results before a phase.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub fn check_rerun(&self, id: &AuditId, of: &AuditId, plan: &Plan, from: PhaseIndex) -> Result<(), RerunError> {
        let source = self.audits.get(of).ok_or_else(|| RerunError::Unknown(of.clone()))?;
        if self.audits.contains_key(id) {
            return Err(RerunError::Exists(id.clone()));
        }
        let kept = from.0 as usize;
        if kept >= plan.phases.len() {
            return Err(RerunError::NoPhase { phases: plan.phases.len(), from });
        }
        let ledger = &source.ledger;
        if kept > ledger.phases.len() {
            let phase = plan.phases[ledger.phases.len()].name.clone();
            return Err(RerunError::OtherPlan { of: of.clone(), phase });
        }
        if let Some((spec, _)) =
            ledger.audit.plan.phases.iter().zip(&ledger.phases).take(kept).find(|(_, p)| !p.is_done())
        {
            return Err(RerunError::Unfinished { of: of.clone(), phase: spec.name.clone() });
        }
        let differs = |(ours, theirs): &(&crate::plan::PhaseSpec, &crate::plan::PhaseSpec)| {
            let same_kind = std::mem::discriminant(&ours.kind) == std::mem::discriminant(&theirs.kind);
            !same_kind || (&ours.name, &ours.inputs) != (&theirs.name, &theirs.inputs)
        };
        match plan.phases.iter().zip(&ledger.audit.plan.phases).take(kept).find(differs) {
            Some((spec, _)) => Err(RerunError::OtherPlan { of: of.clone(), phase: spec.name.clone() }),
            None => Ok(()),
        }
    }

    pub(crate) fn rerun(&mut self, request: Request, (of, from): (&AuditId, PhaseIndex), turn: &mut Turn<'_>) {
        if request.plan.check().is_err() || self.check_rerun(&request.id, of, &request.plan, from).is_err() {
            return;
        }
        let ledger = Ledger::rerun(request, &self.audits[of].ledger, from, turn.now);
        self.take_up(ledger, turn);
    }

    /// Forgets one ended audit whose time has come, a step: its records are many.
    pub(crate) fn forget_old(&mut self, turn: &mut Turn<'_>) {
        let retention_ms = turn.knobs.retention_ms;
        let old = |ledger: &Ledger| ledger.ended().is_some_and(|at| turn.now.since_ms(at) >= retention_ms);
        let used = |id: &AuditId| self.audits.values().any(|other| other.ledger.audit.inherited.contains(id));
        let found = self.audits.iter().find(|(id, audit)| old(&audit.ledger) && !used(id)).map(|(id, _)| id.clone());
        if let Some(id) = found {
            self.audits.remove(&id);
            self.live.retain(|live| *live != id);
            turn.outbox.forget(id);
        }
    }

    /// Whether a blob of this path counts: some record points at it, or its result waits for a second opinion.
    pub fn points_at(&self, path: &str) -> bool {
        let Some((task, name)) = parse_attempt_path(path) else { return false };
        if name.starts_with(MARKS) {
            // A re-run keeps those that it began with, whatever became of them since.
            let marks = |audit: &crate::audit::Audit| audit.ledger.audit.marks.as_ref().is_some_and(|m| m.path == path);
            return self.audits.values().any(marks);
        }
        let Some(audit) = self.audits.get(&task.audit) else { return false };
        let Some(phase) = audit.ledger.phases.get(task.phase.0 as usize) else { return false };
        let wrote = |result: &ShardResult| {
            result.attempt == task.attempt && result.outputs.iter().any(|stored| *stored.name == *name)
        };
        let waits = match &audit.work {
            Work::Map(work) if work.phase == task.phase => {
                work.open.get(&task.shard).is_some_and(|open| open.votes.iter().any(|vote| wrote(&vote.result)))
            }
            Work::None | Work::Map(_) | Work::Reduce(_) | Work::Gang(_) => false,
        };
        let in_map = audit.ledger.result(task.phase, task.shard).is_some_and(wrote);
        let goes_on = phase.checkpoint.iter().any(|checkpoint| checkpoint.blob.path == path);
        in_map || waits || goes_on || phase.outputs.iter().any(|output| output.blob.path == path)
    }
}
