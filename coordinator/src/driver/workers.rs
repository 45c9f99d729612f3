//! What workers do, as events: a session that begins, ends, progresses, fails.
//!
//! It must never let a session that was replaced speak for its worker.

use lethe_common::fault::Fault;
use lethe_common::ids::{TaskId, WorkerId};
use lethe_engine::Event;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{Driver, DriverError, Joined, Progress, SessionKey};

impl Driver {
    /// The one place where a worker is given up, whatever told us; the second to tell changes nothing.
    pub(super) fn lose(&mut self, worker: &WorkerId, reason: String) {
        if !self.sessions.remove(worker) {
            return;
        }
        warn!(%worker, reason, "worker lost");
        self.progress.forget_worker(worker);
        self.backlog.push_back(Event::WorkerLost { worker: worker.clone(), reason });
    }

    pub(super) async fn join(&mut self, worker: WorkerId, reply: oneshot::Sender<Joined>) -> Result<(), DriverError> {
        if self.sessions.contains(&worker) {
            self.lose(&worker, "a new session replaced it".to_owned());
        }
        let (session, orders) = self.sessions.join(worker.clone(), Instant::now());
        info!(%worker, session = session.number, "worker joined");
        drop(reply.send(Joined { session, term: self.term, orders })); // a gone caller closed the orders too
        self.feed(Event::WorkerJoined { worker }).await
    }

    pub(super) async fn leave(&mut self, session: &SessionKey, reason: String) -> Result<(), DriverError> {
        if self.sessions.touch(session, Instant::now()) {
            self.lose(&session.worker, reason);
        }
        self.drain().await
    }

    pub(super) async fn progressed(
        &mut self,
        session: SessionKey,
        task: TaskId,
        progress: Progress,
    ) -> Result<(), DriverError> {
        if !self.sessions.touch(&session, Instant::now()) {
            return Ok(());
        }
        let worker = session.worker;
        self.progress.note(worker.clone(), task.clone(), progress);
        self.feed(Event::TaskProgressed { worker, task }).await
    }

    pub(super) async fn failed(&mut self, session: SessionKey, task: TaskId, fault: Fault) -> Result<(), DriverError> {
        if !self.sessions.touch(&session, Instant::now()) {
            return Ok(());
        }
        let worker = session.worker;
        info!(%worker, %task, %fault, fatal = fault.is_fatal(), "task failed");
        self.progress.forget_task(&task);
        self.feed(Event::TaskFailed { worker, task, fault }).await
    }
}
