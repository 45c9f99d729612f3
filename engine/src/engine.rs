//! The state machine itself: one event in, one list of commands out.
//!
//! It must never wait, and never act: whoever calls it does what the list says, in its order.

use std::collections::{BTreeMap, BTreeSet};

use lethe_common::ids::{AuditId, TaskId, Term, WorkerId};
use lethe_common::time::Millis;

use crate::audit::Audit;
use crate::command::{Command, CommitOutcome};
use crate::event::Event;
use crate::knobs::Knobs;
use crate::ledger::Ledger;
use crate::outbox::Outbox;
use crate::plan::Plan;
use crate::record::{AuditState, Record, RecordKey, TaskResult};
use crate::restore::{self, RestoreError};
use crate::setback::{Cause, Setback};
use crate::turn::Turn;
use crate::view::AuditView;
use crate::workers::{Held, Workers};

/// Every decision of one leader's term.
#[derive(Debug, Clone)]
pub struct Engine {
    term: Term,
    knobs: Knobs,
    audits: BTreeMap<AuditId, Audit>,
    /// Those that have not ended, first come first.
    queue: BTreeSet<(Millis, AuditId)>,
    workers: Workers,
    dropped: u64,
}

impl Engine {
    /// The first leader of an empty store.
    pub fn new(term: Term, knobs: Knobs) -> Self {
        let (audits, queue, workers) = (BTreeMap::new(), BTreeSet::new(), Workers::default());
        Self { term, knobs, audits, queue, workers, dropped: 0 }
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
        let mut workers = std::mem::take(&mut self.workers);
        let knobs = self.knobs.clone();
        let outbox = Outbox::default();
        let mut turn = Turn { now, term: self.term, knobs: &knobs, workers: &mut workers, outbox, gathering: false };
        self.apply(event, &mut turn);
        self.dispatch(&mut turn);
        let outbox = turn.outbox;
        self.workers = workers;
        outbox.seal(|key| self.read(key))
    }

    fn apply(&mut self, event: Event, turn: &mut Turn<'_>) {
        match event {
            Event::Submitted { audit, plan, spec_json } => self.submit(audit, plan, spec_json, turn),
            Event::CancelRequested { audit } => self.with(&audit, |a| a.cancel(turn)),
            Event::WorkerJoined { worker } => self.join(worker, turn),
            Event::WorkerLost { worker, reason } => self.lose(&worker, &reason, turn),
            Event::TaskProgressed { worker, task } => turn.workers.renew(&worker, &task, turn.now),
            Event::TaskCommitted { worker, task, outputs, counts } => {
                self.commit(worker, task, TaskResult { outputs, counts }, turn);
            }
            Event::TaskFailed { worker, task, fault } => self.fail_task(worker, task, Cause::Fault(fault), turn),
            Event::ReduceDone { audit, phase, attempt, outputs, outline } => {
                self.with(&audit, |a| a.reduce_done((phase, attempt), outputs, outline, turn));
            }
            Event::ReduceFailed { audit, phase, attempt, fault } => {
                self.with(&audit, |a| a.reduce_failed(phase, attempt, &fault, turn));
            }
            Event::Tick => self.expire(turn),
        }
    }

    /// Lets every live audit go on, the oldest first.
    fn dispatch(&mut self, turn: &mut Turn<'_>) {
        turn.workers.note_absence(turn.now);
        for (submitted, id) in self.queue.clone() {
            let audit = self.audits.get_mut(&id).expect("queued audits are kept");
            audit.advance(turn);
            if !audit.ledger.is_live() {
                self.queue.remove(&(submitted, id));
            }
        }
    }

    /// The same id again is the same audit, whatever its spec says now.
    fn submit(&mut self, id: AuditId, plan: Plan, spec_json: String, turn: &mut Turn<'_>) {
        if self.audits.contains_key(&id) {
            return;
        }
        let problem = plan.check().err();
        let ledger = Ledger::open(id.clone(), plan, spec_json, turn.now);
        ledger.keys().for_each(|key| turn.outbox.changed(key));
        self.take_in(ledger);
        if let Some(error) = problem {
            let reason = format!("the plan cannot run: {error}");
            self.with(&id, |audit| audit.end(AuditState::Failed { at: turn.now, reason }, turn));
        }
    }

    /// A worker that is already known has a new session, so that its old task is gone.
    fn join(&mut self, worker: WorkerId, turn: &mut Turn<'_>) {
        self.lose(&worker, "it joined again", turn);
        turn.workers.join(worker);
    }

    fn lose(&mut self, worker: &WorkerId, reason: &str, turn: &mut Turn<'_>) {
        if let Some(task) = turn.workers.lose(worker) {
            let cause = Cause::Loss(format!("worker lost: {reason}"));
            self.set_back(Setback { worker: worker.clone(), task, cause }, turn);
        }
    }

    fn commit(&mut self, worker: WorkerId, task: TaskId, result: TaskResult, turn: &mut Turn<'_>) {
        turn.workers.release(&worker, &task);
        let audit = self.audits.get_mut(&task.audit);
        let outcome = audit.map_or(CommitOutcome::Stale, |a| a.commit(&worker, &task, result, turn));
        match outcome {
            CommitOutcome::Applied => {}
            CommitOutcome::Stale => self.dropped += 1,
        }
        turn.outbox.push(Command::Acknowledge { worker, task, outcome });
    }

    fn fail_task(&mut self, worker: WorkerId, task: TaskId, cause: Cause, turn: &mut Turn<'_>) {
        match turn.workers.release(&worker, &task) {
            Held::Busy => self.set_back(Setback { worker, task, cause }, turn),
            Held::Aborting => {} // it was asked to stop, and did
            Held::Not => self.dropped += 1,
        }
    }

    fn expire(&mut self, turn: &mut Turn<'_>) {
        turn.workers.forgive(turn.now);
        for (worker, task, silent_ms) in turn.workers.overdue(turn.now) {
            turn.abort(&worker, "its lease ran out");
            let cause = Cause::Loss(format!("no sign of life for {silent_ms} ms"));
            self.set_back(Setback { worker, task, cause }, turn);
        }
    }

    fn set_back(&mut self, setback: Setback, turn: &mut Turn<'_>) {
        self.with(&setback.task.audit.clone(), |audit| audit.setback(&setback, turn));
    }

    fn with(&mut self, id: &AuditId, act: impl FnOnce(&mut Audit)) {
        if let Some(audit) = self.audits.get_mut(id) {
            act(audit);
        }
    }

    fn take_in(&mut self, ledger: Ledger) {
        if ledger.is_live() {
            self.queue.insert((ledger.audit.submitted, ledger.id.clone()));
        }
        self.audits.insert(ledger.id.clone(), Audit::new(ledger));
    }

    fn read(&self, key: &RecordKey) -> Record {
        let id = match key {
            RecordKey::Audit(id) | RecordKey::Phase(id, _) | RecordKey::Page(id, _, _) => id,
        };
        self.audits[id].ledger.record(key)
    }

    /// What a person is shown of an audit.
    pub fn view(&self, audit: &AuditId) -> Option<AuditView> {
        self.audits.get(audit).map(|audit| AuditView::of(audit, &self.workers))
    }

    /// All audits, ended ones too, in the order of their ids.
    pub fn audits(&self) -> impl Iterator<Item = &AuditId> {
        self.audits.keys()
    }

    pub fn spec_json(&self, audit: &AuditId) -> Option<&str> {
        self.audits.get(audit).map(|audit| audit.ledger.audit.spec_json.as_str())
    }

    /// Every record as it should lie in the store, audit by audit.
    pub fn durable(&self) -> Vec<Record> {
        self.audits.values().flat_map(|a| a.ledger.keys().map(|key| a.ledger.record(&key))).collect()
    }

    pub fn term(&self) -> Term {
        self.term
    }

    /// Messages of this term that came too late to count.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}
