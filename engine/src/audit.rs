//! One audit: its ledger, and the work of the phase it is in.
//!
//! It must never run two phases at once, go back to an earlier one, or leave a terminal state.

use lethe_common::blob::{BlobRef, NamedBlob, parse_attempt_path};
use lethe_common::fault::Fault;
use lethe_common::ids::{Attempt, PhaseIndex, TaskId, WorkerId};
use lethe_common::time::Millis;

use crate::command::{Command, CommitOutcome};
use crate::event::Outline;
use crate::gang::{Formed, GangWork, LEADING_RANK};
use crate::gang_size::{GangSize, Presence};
use crate::ledger::{Ledger, Stage};
use crate::map::MapWork;
use crate::map_ends::Commit;
use crate::plan::PhaseKind;
use crate::record::{AuditState, Conclusion, Control, Deed, GangCheckpoint, Marked, PhaseState, What};
use crate::reduce::ReduceWork;
use crate::setback::{Setback, Verdict};
use crate::turn::Turn;
use crate::workers::Workers;

/// ```text
///   Running: phase 0 -> phase 1 -> ... -> Succeeded       (paused or not)
///      |--> Failed      (a fatal fault, too much lost, no worker for too long)
///      +--> Cancelled
/// ```
#[derive(Debug, Clone)]
pub(crate) struct Audit {
    pub ledger: Ledger,
    pub work: Work,
    /// When it was last resumed: what it did not get done while it was paused is nobody's failure.
    resumed: Millis,
}

/// The soft half: what is going on in the phase that runs. A rebuilt audit begins with none.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    None,
    Map(MapWork),
    Reduce(ReduceWork),
    Gang(GangWork),
}

/// Whether an audit can go further in this step.
enum Pace {
    PhaseDone,
    Waits,
    /// It waits for workers that others must leave to it.
    Gathers,
    Fails(String),
}

/// Whether later audits may be given workers in this step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    LeavesRest,
    WantsAll,
}

impl Audit {
    pub fn new(ledger: Ledger) -> Self {
        Self { ledger, work: Work::None, resumed: Millis(0) }
    }

    /// Goes as far as it can: starts phases and gangs, ends.
    pub fn advance(&mut self, turn: &mut Turn<'_>) -> Demand {
        loop {
            let phase = match self.ledger.stage() {
                Stage::In(phase) => phase,
                Stage::PastLast => {
                    self.end(AuditState::Succeeded { at: turn.now }, turn);
                    return Demand::LeavesRest;
                }
                Stage::Ended => return Demand::LeavesRest,
            };
            match self.drive(phase, turn) {
                Pace::PhaseDone => self.finish(phase, Vec::new(), turn),
                Pace::Waits => return Demand::LeavesRest,
                Pace::Gathers => return Demand::WantsAll,
                Pace::Fails(reason) => {
                    self.fail(phase, reason, turn);
                    return Demand::LeavesRest;
                }
            }
        }
    }

    fn drive(&mut self, phase: PhaseIndex, turn: &mut Turn<'_>) -> Pace {
        if self.ledger.audit.paused.is_some() || self.ledger.awaits_approval() {
            return Pace::Waits;
        }
        if let Err(reason) = self.open(phase, turn) {
            return Pace::Fails(reason);
        }
        let ledger = &mut self.ledger;
        let mut pace = Pace::Waits;
        match &mut self.work {
            Work::None => unreachable!("the phase was opened above"),
            Work::Reduce(work) => work.start_if_due(ledger, turn),
            Work::Map(work) => {
                work.settle_lonely(ledger, turn);
                if let Verdict::Fails(reason) = work.too_many_lost(ledger) {
                    return Pace::Fails(reason);
                }
                if work.is_complete() {
                    return Pace::PhaseDone;
                }
            }
            Work::Gang(work) => match work.form(ledger, turn) {
                Formed::Running | Formed::TooFew => {}
                Formed::Gathering => pace = Pace::Gathers,
                Formed::UsedUp(reason) => return Pace::Fails(reason),
            },
        }
        self.deserted(phase, turn).map_or(pace, Pace::Fails)
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
            PhaseKind::Map { .. } => Work::Map(MapWork::open(&self.ledger, phase, turn.now)?),
            PhaseKind::Reduce { program } => Work::Reduce(ReduceWork::open(phase, program)),
            PhaseKind::Gang { program, world_size, floor } => {
                Work::Gang(GangWork::open(phase, program, GangSize::new(*world_size, *floor)))
            }
        };
        Ok(())
    }

    /// The reason to give up, where the phase needs workers and nobody has got anything done for too long.
    fn deserted(&self, phase: PhaseIndex, turn: &Turn<'_>) -> Option<String> {
        let (since, cause) = match &self.work {
            Work::None | Work::Reduce(_) => return None,
            Work::Map(work) => match (work.failing(turn.workers, turn.knobs), work.untrusted_since) {
                (Some(failing), _) => failing,
                (None, Some(since)) => (since, "no worker is left but those that gave other results".to_owned()),
                (None, None) => (turn.workers.gone_since?, gone(turn.workers)),
            },
            Work::Gang(_) => (turn.workers.gone_since?, gone(turn.workers)),
        };
        let since = self.ledger.phase(phase).started.map_or(since, |started| started.max(since)).max(self.resumed);
        let (idle_ms, grace_ms) = (turn.now.since_ms(since), turn.knobs.grace_ms);
        let name = &self.ledger.spec(phase).name;
        (idle_ms >= grace_ms).then(|| {
            format!("phase {name}: {cause}; so it has been for {idle_ms} ms, the limit is {grace_ms} ms: mend the workers and run it again")
        })
    }

    pub fn commit(&mut self, commit: &Commit<'_>, turn: &mut Turn<'_>) -> CommitOutcome {
        let task = commit.task;
        if self.already_holds(commit) {
            return CommitOutcome::Applied;
        }
        if self.ledger.stage() != Stage::In(task.phase) {
            return CommitOutcome::Stale;
        }
        if !commit.is_its_own() {
            return CommitOutcome::Refused;
        }
        let outcome = match &mut self.work {
            Work::None | Work::Reduce(_) => CommitOutcome::Stale,
            Work::Map(work) => work.commit(&mut self.ledger, turn, commit),
            Work::Gang(work) => {
                let outcome = work.commit(commit.worker, task);
                if outcome == CommitOutcome::Applied && task.shard == LEADING_RANK {
                    self.finish(task.phase, commit.outputs.to_vec(), turn);
                }
                outcome
            }
        };
        if outcome == CommitOutcome::Stale && self.ledger.result(task.phase, task.shard).is_some() {
            self.ledger.tally(task.phase, &mut turn.outbox).late += 1;
        }
        outcome
    }

    /// A checkpoint must lie where its own attempt writes.
    pub fn checkpoint(
        &mut self,
        from: (&WorkerId, &TaskId),
        checkpoint: GangCheckpoint,
        turn: &mut Turn<'_>,
    ) -> CommitOutcome {
        let task = from.1;
        if self.ledger.stage() != Stage::In(task.phase) {
            return CommitOutcome::Stale;
        }
        if parse_attempt_path(&checkpoint.blob.path).is_none_or(|(writer, _)| writer != *task) {
            return CommitOutcome::Refused;
        }
        match &self.work {
            Work::None | Work::Map(_) | Work::Reduce(_) => CommitOutcome::Stale,
            Work::Gang(work) => work.checkpoint(&mut self.ledger, turn, from, checkpoint),
        }
    }

    /// A commit that is repeated because its answer was lost is answered alike.
    fn already_holds(&self, commit: &Commit<'_>) -> bool {
        let (task, phases) = (commit.task, &self.ledger.phases);
        if task.phase.0 as usize >= phases.len() {
            return false;
        }
        let in_map = self.ledger.result(task.phase, task.shard).is_some_and(|held| held.attempt == task.attempt);
        let outputs = &phases[task.phase.0 as usize].outputs;
        let in_gang = task.shard == LEADING_RANK && !outputs.is_empty() && outputs == commit.outputs;
        in_map || in_gang
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
        (outline, conclusion): (Option<Outline>, Option<Conclusion>),
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
            Ok(Some(_)) if self.ledger.results[..phase.0 as usize].iter().any(|results| results.segments() > 0) => {
                let reason = "its outline came after shards of another had ended; give it once, before any map";
                return self.fail(phase, reason.to_owned(), turn);
            }
            Ok(Some(outline)) => self.ledger.set_outline(outline, &mut turn.outbox),
        }
        if let Some(conclusion) = conclusion {
            self.ledger.conclude(phase, conclusion, &mut turn.outbox);
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

    /// What has no effect leaves no trace: pausing what is paused, approving what waits for nobody, anything once it ended.
    pub fn control(&mut self, control: Control, by: String, turn: &mut Turn<'_>) {
        let has_effect = self.ledger.is_live()
            && match control {
                Control::Pause => self.ledger.audit.paused.is_none(),
                Control::Resume => self.ledger.audit.paused.is_some(),
                Control::Approve => self.ledger.awaits_approval(),
                Control::Cancel => true,
            };
        if !has_effect {
            return;
        }
        self.ledger.keep_deed(Deed { at: turn.now, by, what: What::Controlled(control) }, &mut turn.outbox);
        match control {
            Control::Pause => self.pause(turn),
            Control::Resume => self.resume(turn),
            Control::Approve => {} // the deed itself lets it go on
            Control::Cancel => {
                self.stop("the audit was cancelled", turn);
                self.end(AuditState::Cancelled { at: turn.now }, turn);
            }
        }
    }

    /// Of an audit that has ended too: a person looks when there is something to see.
    pub fn keep_marks(
        &mut self,
        (marks, replaces): (BlobRef, Option<BlobRef>),
        (by, made): (String, Marked),
        turn: &mut Turn<'_>,
    ) {
        if self.ledger.audit.marks == replaces {
            let deed = Deed { at: turn.now, by, what: What::Marked(made) };
            self.ledger.keep_marks(marks, deed, &mut turn.outbox);
        }
    }

    /// Map tasks and reduces that run go on to their end; a gang stops, and keeps what its ranks hold.
    fn pause(&mut self, turn: &mut Turn<'_>) {
        self.ledger.set_paused(Some(turn.now), &mut turn.outbox);
        if let Work::Gang(work) = &mut self.work {
            work.pause(&self.ledger, turn);
        }
    }

    fn resume(&mut self, turn: &mut Turn<'_>) {
        self.ledger.set_paused(None, &mut turn.outbox);
        self.resumed = turn.now;
        if let Work::Map(work) = &mut self.work {
            work.pace = crate::pace::Pace::begin(turn.now);
        }
    }

    /// Why nothing of the running phase runs, where nothing does.
    pub fn reason(&self, workers: &Workers, here: &Presence) -> String {
        match &self.work {
            Work::None => String::new(),
            Work::Reduce(work) => work.reason(),
            Work::Map(work) => work.reason(workers),
            Work::Gang(work) => work.reason(workers, here),
        }
    }

    /// What a person should know of the running phase at this moment.
    pub fn notes(&self) -> Vec<String> {
        match &self.work {
            Work::None | Work::Map(_) | Work::Reduce(_) => Vec::new(),
            Work::Gang(work) => work.notes(),
        }
    }

    /// When the running phase will be done, where it is a map that has a pace.
    pub fn eta(&self) -> Option<Millis> {
        match &self.work {
            Work::Map(work) if self.ledger.audit.paused.is_none() => work.pace.eta(work.unfinished()),
            Work::None | Work::Map(_) | Work::Reduce(_) | Work::Gang(_) => None,
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
        for (worker, task) in turn.workers.busy_for(&self.ledger.id) {
            turn.abort(&worker, &task, reason);
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

fn gone(workers: &Workers) -> String {
    match workers.last_loss.is_empty() {
        true => "no worker has joined".to_owned(),
        false => format!("no worker is left, the last was {}", workers.last_loss),
    }
}
