//! What workers do, as events: a session that begins, ends, progresses, fails.
//!
//! It must never let a session that was replaced speak for its worker.

use lethe_common::fault::Fault;
use lethe_common::ids::{TaskId, WorkerId};
use lethe_engine::{Event, GangPlace, PhaseState, Profile};
use lethe_telemetry::logs;
use tokio::time::Instant;
use tracing::{info, warn};

use super::answer::Promise;
use super::input::{Greeting, Input, JoinError};
use super::{Driver, Joined, Progress, SessionKey};

impl Driver {
    pub(super) fn take(&mut self, input: Input) {
        match input {
            Input::Join { greeting, reply } => drop(reply.send(self.join(greeting))), // a gone caller closed its orders
            Input::Leave { session, reason } => self.leave(&session, reason),
            Input::Draining { session, reason } => self.draining(&session, reason),
            Input::Pace { session, pace } => self.sessions.note_pace(&session, pace),
            Input::Progress { session, task, progress, place } => self.progressed(&session, task, (progress, place)),
            Input::Failed { session, task, fault } => self.failed(&session, task, fault),
            Input::Commit { worker, task, outputs, counts, reply } => {
                self.commits.entry((worker.clone(), task.clone())).or_default().push(reply);
                self.progress.forget_task(&task);
                self.push(Event::TaskCommitted { worker, task, outputs, counts });
            }
            Input::Checkpoint { worker, task, checkpoint, reply } => {
                let key = (worker.clone(), task.clone(), checkpoint.step);
                self.checkpoints.entry(key).or_default().push(reply);
                self.push(Event::GangCheckpointed { worker, task, checkpoint });
            }
            Input::Submit { submission, reply } => self.submit(submission, reply),
            Input::Rerun { rerun, reply } => self.rerun(rerun, reply),
            Input::Control { audit, control, by, reply } => self.control(audit, (control, by), reply),
            Input::KeepMarks { audit, by, marks, replaces, made, reply } => {
                self.push(Event::MarksMade { audit: audit.clone(), by, marks, replaces, made });
                self.promise(Promise::Controlled { audit, reply });
            }
            Input::Ask(question) => self.hear(question),
            Input::Stop => {}
        }
    }

    /// The one place where a worker is given up, whatever told us; the second to tell changes nothing.
    pub(super) fn lose(&mut self, worker: &WorkerId, reason: String) {
        let Some(session) = self.sessions.remove(worker) else { return };
        match session.drains {
            true => info!(%worker, reason, "worker stopped"),
            false => warn!(%worker, reason, "worker lost"),
        }
        self.config.metrics.worker_gone(session.drains);
        self.progress.forget_worker(worker);
        self.lively.remove(worker);
        self.push(Event::WorkerLost { worker: worker.clone(), reason });
    }

    fn join(&mut self, greeting: Greeting) -> Result<Joined, JoinError> {
        let (worker, now) = (greeting.worker.clone(), Instant::now());
        if let Some(known) = self.sessions.get(&worker) {
            let same = known.greeting.instance == greeting.instance;
            if !same && known.is_alive(now - self.heart.silence()) {
                return Err(JoinError::Duplicate { worker, host: known.greeting.host.clone() });
            }
            self.lose(&worker, "a new session replaced it".to_owned());
        }
        let kind = greeting.device.clone();
        let profile = Profile { kind, host: greeting.host.clone(), slots: greeting.slots };
        let (session, orders, heard) = self.sessions.join(greeting, now);
        info!(%worker, session = session.number, "worker joined");
        self.push(Event::WorkerJoined { worker, profile });
        Ok(Joined { session, term: self.fence.term, orders, heard })
    }

    fn leave(&mut self, session: &SessionKey, reason: String) {
        if self.sessions.is_current(session) {
            self.lose(&session.worker, reason);
        }
    }

    fn draining(&mut self, session: &SessionKey, reason: String) {
        if self.sessions.is_current(session) {
            info!(worker = %session.worker, reason, "worker drains");
            self.sessions.note_draining(&session.worker);
            self.push(Event::WorkerDraining { worker: session.worker.clone(), reason });
        }
    }

    fn progressed(&mut self, session: &SessionKey, task: TaskId, said: (Progress, Option<GangPlace>)) {
        let (progress, place) = said;
        let runs = self.engine.phase_state(&task.audit, task.phase) == Some(&PhaseState::Running);
        if self.sessions.is_current(session) && runs {
            self.progress.note(session.worker.clone(), task.clone(), progress);
            self.lively.insert(session.worker.clone(), (task, place));
        }
    }

    fn failed(&mut self, session: &SessionKey, task: TaskId, fault: Fault) {
        if self.sessions.is_current(session) {
            let worker = session.worker.clone();
            let _said = logs::task(&task, worker.as_str(), self.accounts.trace(&task.audit, task.phase)).entered();
            info!(%fault, kind = ?fault.kind, "task failed");
            self.progress.forget_task(&task);
            self.push(Event::TaskFailed { worker, task, fault });
        }
    }
}
