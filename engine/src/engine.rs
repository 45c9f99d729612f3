//! The state machine itself: events in, one list of commands out.
//!
//! It must never wait, and never act: whoever calls it does what the list says, in its order.

use std::collections::{BTreeMap, VecDeque};

use lethe_common::blob::NamedBlob;
use lethe_common::fault::FaultKind;
use lethe_common::ids::{AuditId, PhaseIndex, ShardId, TaskId, Term, WorkerId};
use lethe_common::time::Millis;

use crate::audit::{Audit, Work};
use crate::command::{Command, CommitOutcome, PhaseContext};
use crate::event::{Counts, Event, Profile};
use crate::knobs::Knobs;
use crate::ledger::{Ledger, Request};
use crate::map_ends::Commit;
use crate::member::Held;
use crate::outbox::Outbox;
use crate::places::GangPlace;
use crate::plan::PhaseKind;
use crate::plan_check::MAX_PHASES;
use crate::record::{AuditState, GangCheckpoint, PhaseState, Record, RecordKey};
use crate::restore::{self, RestoreError};
use crate::setback::{Cause, Setback, of_dropped};
use crate::turn::Turn;
use crate::workers::{Dropped, Workers};

/// Events that one step takes at most.
const MAX_EVENTS: usize = 1_024;

/// A step takes no further event once it writes so many records: one event may add a whole plan's, and what the
/// dispatch after them adds is bounded too, so that the sum fits one atomic batch of 120.
const ENOUGH_RECORDS: usize = 16;

/// Nor once it writes so many bytes of specs: a spec has up to 96 KiB, as JSON in JSON up to twice that, and a batch 1 MiB.
const ENOUGH_SPEC_BYTES: usize = 256 << 10;

/// Every decision of one leader's term.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) term: Term,
    pub(crate) knobs: Knobs,
    /// Of the last step.
    pub(crate) now: Millis,
    pub(crate) audits: BTreeMap<AuditId, Audit>,
    /// Those that have not ended.
    pub(crate) live: Vec<AuditId>,
    pub(crate) workers: Workers,
    dropped: u64,
}

impl Engine {
    /// The first leader of an empty store.
    pub fn new(term: Term, knobs: Knobs) -> Self {
        let (now, audits, live, workers) = (Millis(0), BTreeMap::new(), Vec::new(), Workers::default());
        Self { term, knobs, now, audits, live, workers, dropped: 0 }
    }

    /// A new leader of a store's records. Its first step, whatever the event, starts again what was
    /// running; workers join anew.
    pub fn restore(term: Term, knobs: Knobs, records: Vec<Record>) -> Result<Self, RestoreError> {
        let mut engine = Self::new(term, knobs);
        for ledger in restore::ledgers(records)? {
            engine.take_in(ledger);
        }
        Ok(engine)
    }

    /// One event at one time, to what must now be done. Where the store does not take the `Persist`
    /// at the head of the list, the engine must be dropped, since it has already moved on.
    pub fn step(&mut self, now: Millis, event: Event) -> Vec<Command> {
        self.step_many(now, &mut VecDeque::from([event]))
    }

    /// As many of the events, in their order, as one atomic batch can hold: their commands are one list with one
    /// `Persist` at its head. Those that are left are for the next step.
    pub fn step_many(&mut self, now: Millis, events: &mut VecDeque<Event>) -> Vec<Command> {
        let mut workers = std::mem::take(&mut self.workers);
        let knobs = self.knobs.clone();
        self.now = now;
        let mut turn = Turn {
            now,
            term: self.term,
            knobs: &knobs,
            workers: &mut workers,
            outbox: Outbox::default(),
            gathers: false,
        };
        let mut taken = 0;
        while taken < MAX_EVENTS
            && (taken == 0 || self.has_room(&turn.outbox, ENOUGH_RECORDS))
            && !turn.outbox.forgets()
        {
            let Some(event) = events.pop_front() else { break };
            self.apply(event, &mut turn);
            taken += 1;
        }
        self.dispatch(&mut turn);
        let outbox = turn.outbox;
        self.workers = workers;
        outbox.seal(|key| self.read(key))
    }

    /// Whether a step may write more than it does.
    pub(crate) fn has_room(&self, outbox: &Outbox, most_records: usize) -> bool {
        let spec_bytes = |id| self.audits.get(id).map_or(0, |audit: &Audit| audit.ledger.audit.spec_json.len());
        outbox.records() < most_records && outbox.audits().map(spec_bytes).sum::<usize>() < ENOUGH_SPEC_BYTES
    }

    fn apply(&mut self, event: Event, turn: &mut Turn<'_>) {
        match event {
            Event::Submitted { audit, plan, spec_json, options } => {
                self.submit(Request { id: audit, plan, spec_json, options }, turn);
            }
            Event::RerunRequested { audit, of, from, plan, spec_json, options } => {
                self.rerun(Request { id: audit, plan, spec_json, options }, (&of, from), turn);
            }
            Event::ControlRequested { audit, control, by } => self.with(&audit, |a| a.control(control, by, turn)),
            Event::MarksMade { audit, by, marks, replaces, made } => {
                self.with(&audit, |a| a.keep_marks((marks, replaces), (by, made), turn));
            }
            Event::WorkerJoined { worker, profile } => self.join(worker, profile, turn),
            Event::WorkerDraining { worker, reason } => turn.workers.drain(&worker, reason),
            Event::WorkerLost { worker, reason } => self.lose(&worker, &reason, turn),
            Event::TaskProgressed { worker, task } => turn.workers.renew(&worker, &task, turn.now),
            Event::GangProgressed { worker, task, place } => self.place(&worker, &task, place, turn),
            Event::TaskCommitted { worker, task, outputs, counts } => {
                self.commit(&Commit { worker: &worker, task: &task, outputs: &outputs, counts }, turn);
            }
            Event::GangCheckpointed { worker, task, checkpoint } => self.checkpoint(worker, task, checkpoint, turn),
            Event::TaskFailed { worker, task, fault } => self.fail_task(worker, task, Cause::Fault(fault), turn),
            Event::ReduceDone { audit, phase, attempt, outputs, outline, conclusion } => {
                self.with(&audit, |a| a.reduce_done((phase, attempt), outputs, (outline, conclusion), turn));
            }
            Event::ReduceFailed { audit, phase, attempt, fault } => {
                self.with(&audit, |a| a.reduce_failed(phase, attempt, &fault, turn));
            }
            Event::Stalled { ms } => self.forgive_stall(ms, turn),
            Event::Tick => self.tick(turn),
        }
    }

    /// The same id again is the same audit, whatever its spec says now.
    fn submit(&mut self, mut request: Request, turn: &mut Turn<'_>) {
        if self.audits.contains_key(&request.id) {
            return;
        }
        let (id, problem) = (request.id.clone(), request.plan.check().err());
        request.plan.phases.truncate(MAX_PHASES); // what is more cannot run, and would not fit a batch
        self.take_up(Ledger::open(request, turn.now), turn);
        if let Some(error) = problem {
            let reason = format!("the plan cannot run: {error}");
            self.with(&id, |audit| audit.end(AuditState::Failed { at: turn.now, reason }, turn));
        }
    }

    /// A new audit, with its records.
    pub(crate) fn take_up(&mut self, ledger: Ledger, turn: &mut Turn<'_>) {
        ledger.keys().for_each(|key| turn.outbox.changed(key));
        self.take_in(ledger);
    }

    /// A worker that is already known has a new session, so that its old tasks are gone.
    fn join(&mut self, worker: WorkerId, profile: Profile, turn: &mut Turn<'_>) {
        self.lose(&worker, "it joined again", turn);
        turn.workers.join(worker, profile, turn.now);
    }

    fn lose(&mut self, worker: &WorkerId, reason: &str, turn: &mut Turn<'_>) {
        let dropped = turn.workers.lose(worker, reason);
        self.set_all_back(worker, dropped, &format!("worker lost: {reason}"), turn);
    }

    fn commit(&mut self, commit: &Commit<'_>, turn: &mut Turn<'_>) {
        let held = turn.workers.release(commit.worker, commit.task, turn.now);
        let audit = self.audits.get_mut(&commit.task.audit);
        let outcome = audit.map_or(CommitOutcome::Stale, |a| a.commit(commit, turn));
        match outcome {
            CommitOutcome::Applied | CommitOutcome::Provisional => turn.workers.note_success(commit.worker),
            CommitOutcome::Stale => self.dropped += 1,
            CommitOutcome::Refused => self.refuse(commit, held, turn),
        }
        let (worker, task) = (commit.worker.clone(), commit.task.clone());
        turn.outbox.push(Command::Acknowledge { worker, task, outcome });
    }

    fn place(&mut self, worker: &WorkerId, task: &TaskId, place: GangPlace, turn: &mut Turn<'_>) {
        turn.workers.renew(worker, task, turn.now);
        let work = self.audits.get_mut(&task.audit).map(|audit| &mut audit.work);
        let Some(Work::Gang(work)) = work else { return };
        if work.place(worker, task, place) {
            turn.workers.note_step(worker);
        }
    }

    /// A sign of life too.
    fn checkpoint(&mut self, worker: WorkerId, task: TaskId, checkpoint: GangCheckpoint, turn: &mut Turn<'_>) {
        turn.workers.renew(&worker, &task, turn.now);
        let (step, path) = (checkpoint.step, checkpoint.blob.path.clone());
        let Some(audit) = self.audits.get_mut(&task.audit) else {
            let outcome = CommitOutcome::Stale;
            turn.outbox.push(Command::AcknowledgeCheckpoint { worker, task, step, outcome, replaced: None });
            return;
        };
        let before = audit.ledger.kept_checkpoint(task.phase).map(|kept| kept.blob.clone());
        let outcome = audit.checkpoint((&worker, &task), checkpoint, turn);
        let replaced = before.filter(|blob| outcome == CommitOutcome::Applied && blob.path != path);
        turn.outbox.push(Command::AcknowledgeCheckpoint { worker, task, step, outcome, replaced });
    }

    fn forgive_stall(&mut self, ms: u64, turn: &mut Turn<'_>) {
        turn.workers.forgive_stall(ms);
        for id in &self.live {
            let audit = self.audits.get_mut(id).expect("live audits are kept");
            match &mut audit.work {
                Work::Gang(work) => work.forgive_stall(ms),
                Work::None | Work::Map(_) | Work::Reduce(_) => {}
            }
        }
    }

    /// Its task is as good as failed.
    fn refuse(&mut self, commit: &Commit<'_>, held: Held, turn: &mut Turn<'_>) {
        let fault = lethe_common::fault::Fault::retryable("its outputs do not lie where its attempt writes");
        let (worker, task) = (commit.worker.clone(), commit.task.clone());
        self.failed(Setback { worker, task, cause: Cause::Fault(fault) }, held, turn);
    }

    fn fail_task(&mut self, worker: WorkerId, task: TaskId, cause: Cause, turn: &mut Turn<'_>) {
        let held = turn.workers.release(&worker, &task, turn.now);
        self.failed(Setback { worker, task, cause }, held, turn);
    }

    fn failed(&mut self, setback: Setback, held: Held, turn: &mut Turn<'_>) {
        match held {
            Held::Live => {
                rest(&setback, turn);
                self.set_back(setback, turn);
            }
            Held::Aborting => {} // it was asked to stop, and did
            Held::Not => self.dropped += 1,
        }
    }

    fn tick(&mut self, turn: &mut Turn<'_>) {
        turn.workers.forgive(turn.now);
        for (worker, dropped, silent_ms) in turn.workers.overdue(turn.now) {
            if !self.has_room(&turn.outbox, ENOUGH_RECORDS) {
                break; // the others at the next tick: one batch holds so much
            }
            dropped.iter().for_each(|task| turn.abort(&worker, task, "its lease ran out"));
            self.set_all_back(&worker, dropped, &format!("no sign of life for {silent_ms} ms"), turn);
        }
        self.speculate(turn);
        self.forget_old(turn);
    }

    fn set_all_back(&mut self, worker: &WorkerId, dropped: Dropped, reason: &str, turn: &mut Turn<'_>) {
        for setback in of_dropped(worker, dropped, reason) {
            self.set_back(setback, turn);
        }
    }

    fn set_back(&mut self, setback: Setback, turn: &mut Turn<'_>) {
        self.with(&setback.task.audit.clone(), |audit| audit.setback(&setback, turn));
    }

    pub(crate) fn with(&mut self, id: &AuditId, act: impl FnOnce(&mut Audit)) {
        if let Some(audit) = self.audits.get_mut(id) {
            act(audit);
        }
    }

    fn take_in(&mut self, ledger: Ledger) {
        if ledger.is_live() {
            self.live.push(ledger.id.clone());
        }
        self.audits.insert(ledger.id.clone(), Audit::new(ledger));
    }

    fn read(&self, key: &RecordKey) -> Record {
        self.audits[key.audit()].ledger.record(key)
    }

    /// All audits, ended ones too, in the order of their ids.
    pub fn audits(&self) -> impl Iterator<Item = &AuditId> {
        self.audits.keys()
    }

    pub fn spec_json(&self, audit: &AuditId) -> Option<&str> {
        self.audits.get(audit).map(|audit| audit.ledger.audit.spec_json.as_str())
    }

    /// What the tasks of a map phase share; none for any other phase.
    pub fn phase_context(&self, audit: &AuditId, phase: PhaseIndex) -> Option<PhaseContext> {
        let ledger = &self.audits.get(audit)?.ledger;
        match &ledger.audit.plan.phases.get(phase.0 as usize)?.kind {
            PhaseKind::Map { program } => {
                Some(PhaseContext { program: program.clone(), inputs: ledger.shared_inputs(phase) })
            }
            PhaseKind::Reduce { .. } | PhaseKind::Gang { .. } => None,
        }
    }

    /// What a map phase, by its name, gave for one shard; nothing where it gave nothing or there is no such phase.
    pub fn shard_outputs(&self, audit: &AuditId, phase: &str, shard: ShardId) -> Vec<NamedBlob> {
        let Some(ledger) = self.audits.get(audit).map(|audit| &audit.ledger) else { return Vec::new() };
        let index = ledger.audit.plan.phases.iter().position(|spec| spec.name == phase);
        let results = index.and_then(|index| ledger.results.get(index));
        let found =
            results.and_then(|results| Some(results.result(shard)?.blobs(&results.owner, results.phase, shard)));
        found.unwrap_or_default()
    }

    /// What a map phase, by its name, gave for every shard that it did not give up. Nothing before it is done, nor where another audit
    /// planned it: a re-run computes by a spec of its own what it takes over a plan of.
    pub fn map_results(&self, audit: &AuditId, phase: &str) -> Option<Vec<(ShardId, Counts, Vec<NamedBlob>)>> {
        let ledger = &self.audits.get(audit)?.ledger;
        let index = ledger.audit.plan.phases.iter().position(|spec| spec.name == phase)?;
        let results = ledger.results.get(index).filter(|_| ledger.phases[index].is_done())?;
        if ledger.results.first().is_none_or(|plan| plan.owner != results.owner) {
            return None;
        }
        let done = results.fates().filter_map(|(shard, _)| {
            let result = results.result(shard)?;
            Some((shard, result.counts, result.blobs(&results.owner, results.phase, shard)))
        });
        Some(done.collect())
    }

    pub fn phase_state(&self, audit: &AuditId, phase: PhaseIndex) -> Option<&PhaseState> {
        self.audits.get(audit)?.ledger.phases.get(phase.0 as usize).map(|phase| &phase.state)
    }

    /// Every record as it should lie in the store, audit by audit.
    pub fn durable(&self) -> Vec<Record> {
        self.audits.values().flat_map(|a| a.ledger.keys().map(|key| a.ledger.record(&key))).collect()
    }

    pub fn term(&self) -> Term {
        self.term
    }

    pub fn knobs(&self) -> &Knobs {
        &self.knobs
    }

    /// Messages of this term that came too late to count.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// A worker whose tasks fail one after the other is left alone for a while: it may be the worker.
fn rest(setback: &Setback, turn: &mut Turn<'_>) {
    let counts = match &setback.cause {
        Cause::Loss(_) => false,
        Cause::Fault(fault) => match fault.kind {
            FaultKind::Retryable | FaultKind::OutOfMemory | FaultKind::Storage => true,
            FaultKind::Fatal | FaultKind::BadShard | FaultKind::HandedBack => false,
        },
    };
    if counts {
        let (now, knobs) = (turn.now, turn.knobs);
        let until = |in_a_row| knobs.rest_ms(in_a_row).map(|ms| now.plus_ms(ms));
        turn.workers.note_fault(&setback.worker, setback.cause.message(), until);
    }
}
