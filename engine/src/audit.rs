//! One audit: its ledger, and the work of the phase it is in.
//!
//! It must never run two phases at once, go back to an earlier one, or leave a terminal state.

use lethe_common::blob::NamedBlob;
use lethe_common::fault::Fault;
use lethe_common::ids::{Attempt, PhaseIndex, TaskId, WorkerId};

use crate::command::{Command, CommitOutcome};
use crate::event::Outline;
use crate::gang::{Formed, GangWork, LEADING_RANK};
use crate::ledger::{Ledger, Stage};
use crate::map::MapWork;
use crate::plan::PhaseKind;
use crate::record::{AuditState, PhaseState, TaskResult};
use crate::reduce::ReduceWork;
use crate::setback::{Setback, Verdict};
use crate::turn::Turn;

/// ```text
///   Running: phase 0 -> phase 1 -> ... -> Succeeded
///      |--> Failed      (a fatal fault, too many tries, no worker for too long)
///      +--> Cancelled
/// ```
#[derive(Debug, Clone)]
pub(crate) struct Audit {
    pub ledger: Ledger,
    work: Work,
}

/// The soft half: what is going on in the phase that runs. A rebuilt audit begins with none.
#[derive(Debug, Clone)]
enum Work {
    None,
    Map(MapWork),
    Reduce(ReduceWork),
    Gang(GangWork),
}

/// Whether an audit can go further in this step.
enum Pace {
    PhaseDone(Vec<NamedBlob>),
    Waits,
    Fails(String),
}

impl Audit {
    pub fn new(ledger: Ledger) -> Self {
        Self { ledger, work: Work::None }
    }

    /// Goes as far as it can: starts phases, hands out work, ends.
    pub fn advance(&mut self, turn: &mut Turn<'_>) {
        loop {
            let phase = match self.ledger.stage() {
                Stage::In(phase) => phase,
                Stage::PastLast => return self.end(AuditState::Succeeded { at: turn.now }, turn),
                Stage::Ended => return,
            };
            match self.drive(phase, turn) {
                Pace::PhaseDone(outputs) => self.finish(phase, outputs, turn),
                Pace::Waits => return,
                Pace::Fails(reason) => return self.fail(phase, reason, turn),
            }
        }
    }

    fn drive(&mut self, phase: PhaseIndex, turn: &mut Turn<'_>) -> Pace {
        if let Err(reason) = self.open(phase, turn) {
            return Pace::Fails(reason);
        }
        let ledger = &mut self.ledger;
        match &mut self.work {
            Work::None => unreachable!("the phase was opened above"),
            Work::Reduce(work) => work.start_if_due(ledger, turn),
            Work::Map(work) => {
                work.assign(ledger, turn);
                if work.is_complete() {
                    return Pace::PhaseDone(Vec::new());
                }
            }
            Work::Gang(work) => match work.form(ledger, turn) {
                Formed::Running | Formed::TooFew => {}
                Formed::Gathering => turn.gathering = true,
                Formed::UsedUp(reason) => return Pace::Fails(reason),
            },
        }
        self.deserted(phase, turn).map_or(Pace::Waits, Pace::Fails)
    }

    /// Makes the phase's work where there is none: the phase is new, or the engine was rebuilt.
    fn open(&mut self, phase: PhaseIndex, turn: &mut Turn<'_>) -> Result<(), String> {
        if !matches!(self.work, Work::None) {
            return Ok(());
        }
        if self.ledger.phase(phase).state == PhaseState::Waiting {
            self.ledger.start_phase(phase, turn.now, &mut turn.outbox);
        }
        self.work = match &self.ledger.spec(phase).kind {
            PhaseKind::Map { program } => Work::Map(MapWork::open(&self.ledger, phase, program)?),
            PhaseKind::Reduce { program } => Work::Reduce(ReduceWork::open(phase, program)),
            PhaseKind::Gang { program, world_size } => Work::Gang(GangWork::open(phase, program, *world_size)),
        };
        Ok(())
    }

    /// The reason to give up, where the phase needs workers and has had none for too long.
    fn deserted(&self, phase: PhaseIndex, turn: &Turn<'_>) -> Option<String> {
        match self.work {
            Work::None | Work::Reduce(_) => return None,
            Work::Map(_) | Work::Gang(_) => {}
        }
        let gone_since = turn.workers.gone_since?;
        let since = self.ledger.phase(phase).started.map_or(gone_since, |started| started.max(gone_since));
        let (gone_ms, grace_ms) = (turn.now.since_ms(since), turn.knobs.grace_ms);
        let name = &self.ledger.spec(phase).name;
        (gone_ms >= grace_ms).then(|| {
            format!(
                "phase {name}: no worker for {gone_ms} ms, the limit is {grace_ms} ms: start workers and submit again"
            )
        })
    }

    pub fn commit(
        &mut self,
        worker: &WorkerId,
        task: &TaskId,
        result: TaskResult,
        turn: &mut Turn<'_>,
    ) -> CommitOutcome {
        if self.already_holds(task, &result) {
            return CommitOutcome::Applied;
        }
        if self.ledger.stage() != Stage::In(task.phase) {
            return CommitOutcome::Stale;
        }
        match &mut self.work {
            Work::None | Work::Reduce(_) => CommitOutcome::Stale,
            Work::Map(work) => work.commit(&mut self.ledger, turn, task, result),
            Work::Gang(work) => {
                let outcome = work.commit(worker, task);
                if outcome == CommitOutcome::Applied && task.shard == LEADING_RANK {
                    self.finish(task.phase, result.outputs, turn);
                }
                outcome
            }
        }
    }

    /// A commit that is repeated because its answer was lost is answered alike. Blobs lie under their
    /// attempt, so that equal outputs are the same commit.
    fn already_holds(&self, task: &TaskId, result: &TaskResult) -> bool {
        let in_gang = || {
            let phase = self.ledger.phases.get(task.phase.0 as usize);
            task.shard == LEADING_RANK && phase.is_some_and(|p| p.outputs == result.outputs)
        };
        let held = self.ledger.result(task.phase, task.shard).is_some_and(|r| r == result);
        !result.outputs.is_empty() && (held || in_gang())
    }

    pub fn setback(&mut self, setback: &Setback, turn: &mut Turn<'_>) {
        if self.ledger.stage() != Stage::In(setback.task.phase) {
            return;
        }
        let verdict = match &mut self.work {
            Work::None | Work::Reduce(_) => Verdict::Ignored,
            Work::Map(work) => work.setback(&mut self.ledger, turn, setback),
            Work::Gang(work) => work.setback(&mut self.ledger, turn, setback),
        };
        self.settle(setback.task.phase, verdict, turn);
    }

    pub fn reduce_done(
        &mut self,
        tried: (PhaseIndex, Attempt),
        outputs: Vec<NamedBlob>,
        outline: Option<Outline>,
        turn: &mut Turn<'_>,
    ) {
        let (phase, attempt) = tried;
        match &self.work {
            Work::Reduce(work) if work.runs(phase, attempt) => {}
            Work::None | Work::Map(_) | Work::Reduce(_) | Work::Gang(_) => return,
        }
        match outline.map(Outline::checked).transpose() {
            Err(reason) => return self.fail(phase, reason, turn),
            Ok(None) => {}
            Ok(Some(outline)) => self.ledger.set_outline(outline, &mut turn.outbox),
        }
        self.finish(phase, outputs, turn);
    }

    pub fn reduce_failed(&mut self, phase: PhaseIndex, attempt: Attempt, fault: &Fault, turn: &mut Turn<'_>) {
        let verdict = match &mut self.work {
            Work::Reduce(work) if work.runs(phase, attempt) => work.fault(&mut self.ledger, turn, fault),
            Work::None | Work::Map(_) | Work::Reduce(_) | Work::Gang(_) => Verdict::Ignored,
        };
        self.settle(phase, verdict, turn);
    }

    pub fn cancel(&mut self, turn: &mut Turn<'_>) {
        match self.ledger.stage() {
            Stage::Ended => {}
            Stage::In(_) | Stage::PastLast => {
                self.stop("the audit was cancelled", turn);
                self.end(AuditState::Cancelled { at: turn.now }, turn);
            }
        }
    }

    /// Why nothing of the running phase runs, where nothing does.
    pub fn reason(&self, workers: &crate::workers::Workers) -> String {
        match &self.work {
            Work::None | Work::Reduce(_) => String::new(),
            Work::Map(work) => work.reason(workers),
            Work::Gang(work) => work.reason(workers),
        }
    }

    fn settle(&mut self, phase: PhaseIndex, verdict: Verdict, turn: &mut Turn<'_>) {
        match verdict {
            Verdict::Ignored | Verdict::Retried => {}
            Verdict::Fails(reason) => self.fail(phase, reason, turn),
        }
    }

    fn finish(&mut self, phase: PhaseIndex, outputs: Vec<NamedBlob>, turn: &mut Turn<'_>) {
        self.ledger.finish_phase(phase, turn.now, outputs, &mut turn.outbox);
        self.work = Work::None;
    }

    fn fail(&mut self, phase: PhaseIndex, reason: String, turn: &mut Turn<'_>) {
        self.stop("the audit failed", turn);
        self.ledger.fail_phase(phase, turn.now, &reason, &mut turn.outbox);
        self.end(AuditState::Failed { at: turn.now, reason }, turn);
    }

    fn stop(&mut self, reason: &str, turn: &mut Turn<'_>) {
        for worker in turn.workers.busy_for(&self.ledger.id) {
            turn.abort(&worker, reason);
        }
        if let Work::Reduce(work) = &self.work {
            work.stop(&self.ledger, turn);
        }
    }

    pub fn end(&mut self, state: AuditState, turn: &mut Turn<'_>) {
        self.work = Work::None;
        self.ledger.end(state, &mut turn.outbox);
        turn.outbox.push(Command::AuditEnded { audit: self.ledger.id.clone() });
    }
}
