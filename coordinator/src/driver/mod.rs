//! The one task that owns the engine and the store: an input becomes an event, the engine answers with
//! commands, the store takes the first of them, and only then is the rest acted on.
//!
//! It must never decide: what a fact means is the engine's. It must never act on what the store did
//! not take: on any other outcome the engine is dropped and rebuilt from the store, in a new term.

mod act;
mod handle;
mod heart;
mod input;
mod progress;
mod reduces;
mod sessions;
mod status;
mod watchers;
mod workers;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lethe_common::blob::BlobStore;
use lethe_common::ids::{AuditId, TaskId, Term, WorkerId};
use lethe_common::time::Millis;
use lethe_engine::{CommitOutcome, Engine, Event, Knobs, RestoreError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::plans;
use crate::rendezvous::Rendezvous;
use crate::store::{Store, StoreError};
use heart::Heart;
use progress::ProgressBoard;
use reduces::Reduces;
use sessions::Sessions;
use watchers::Watchers;

pub use handle::{AskError, DriverHandle};
pub use input::{Input, Joined, Order, SessionKey, Submission, SubmitError};
pub use progress::Progress;
pub use status::Status;

/// Inputs that may wait for the driver; senders wait for room.
const MAX_QUEUED_INPUTS: usize = 1024;
/// Watchers see at most five views a second.
const PUBLISH_EVERY: Duration = Duration::from_millis(200);

/// What a driver needs beside its store.
#[derive(Debug, Clone)]
pub struct DriverConfig {
    pub knobs: Knobs,
    pub blobs: BlobStore,
    /// Where the last reduce of a plan publishes.
    pub result_folder: PathBuf,
}

/// Why a driver cannot lead. The process must start anew, or someone must look at the store.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the store's records do not fit together: {0}")]
    Restore(#[from] RestoreError),
}

pub struct Driver {
    config: DriverConfig,
    store: Arc<Store>,
    rendezvous: Arc<Rendezvous>,
    engine: Engine,
    term: Term,
    /// Events that acting on earlier ones gave rise to.
    backlog: VecDeque<Event>,
    sessions: Sessions,
    reduces: Reduces,
    progress: ProgressBoard,
    watchers: Watchers,
    /// Callers who wait for the answer to their commit.
    commits: BTreeMap<(WorkerId, TaskId), Vec<oneshot::Sender<CommitOutcome>>>,
    heart: Heart,
}

impl Driver {
    /// Begins a term and rebuilds the engine from the store.
    ///
    /// # Errors
    /// A store that cannot be read or is damaged.
    pub fn new(store: Arc<Store>, rendezvous: Arc<Rendezvous>, config: DriverConfig) -> Result<Self, DriverError> {
        let (term, engine) = lead(&store, config.knobs.clone())?;
        let heart = Heart::new(config.knobs.heartbeat_ms, Instant::now());
        Ok(Self {
            config,
            store,
            rendezvous,
            engine,
            term,
            backlog: VecDeque::new(),
            sessions: Sessions::default(),
            reduces: Reduces::default(),
            progress: ProgressBoard::default(),
            watchers: Watchers::default(),
            commits: BTreeMap::new(),
            heart,
        })
    }

    /// The handle that reaches this driver, and the queue that [`Driver::run`] takes.
    pub fn queue() -> (DriverHandle, mpsc::Receiver<Input>) {
        let (inputs, queue) = mpsc::channel(MAX_QUEUED_INPUTS);
        (DriverHandle::new(inputs), queue)
    }

    /// Runs until it is told to stop or every handle is gone; then all sessions and watches end.
    ///
    /// # Errors
    /// A store that cannot be read back after a failed commit: the process must start anew.
    pub async fn run(mut self, mut inputs: mpsc::Receiver<Input>) -> Result<(), DriverError> {
        let mut ticks = interval(self.heart.tick_every());
        let mut publishes = interval(PUBLISH_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        publishes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                input = inputs.recv() => match input {
                    None | Some(Input::Stop) => break,
                    Some(input) => self.take(input)?,
                },
                Some(event) = self.reduces.next() => self.feed(event)?,
                _ = ticks.tick() => self.tick()?,
                _ = publishes.tick() => self.publish(),
            }
        }
        self.rendezvous.clear(); // its waiters must not hold up the end
        Ok(())
    }

    fn take(&mut self, input: Input) -> Result<(), DriverError> {
        self.watchers.mark();
        match input {
            Input::Join { worker, reply } => self.join(worker, reply),
            Input::Leave { session, reason } => self.leave(&session, reason),
            Input::Alive { session } => {
                self.sessions.touch(&session, Instant::now());
                Ok(())
            }
            Input::Progress { session, task, progress } => self.progressed(session, task, progress),
            Input::Failed { session, task, fault } => self.failed(session, task, fault),
            Input::Commit { worker, task, outputs, counts, reply } => {
                self.commits.entry((worker.clone(), task.clone())).or_default().push(reply);
                self.feed(Event::TaskCommitted { worker, task, outputs, counts })
            }
            Input::Submit { submission, reply } => self.submit(submission, reply),
            Input::Cancel { audit, reply } => {
                self.feed(Event::CancelRequested { audit: audit.clone() })?;
                drop(reply.send(self.status(&audit))); // the caller may be gone
                Ok(())
            }
            Input::Watch { audit, reply } => {
                drop(reply.send(self.watch(&audit))); // the caller may be gone
                Ok(())
            }
            Input::Stop => Ok(()),
        }
    }

    /// Steps the engine with an event and with all that follow from it.
    fn feed(&mut self, event: Event) -> Result<(), DriverError> {
        self.backlog.push_back(event);
        self.drain()
    }

    fn drain(&mut self) -> Result<(), DriverError> {
        while let Some(event) = self.backlog.pop_front() {
            let commands = self.engine.step(Millis::now(), event);
            if let Err(reason) = self.obey(commands) {
                self.rebuild(&reason)?;
            }
        }
        self.watchers.mark();
        Ok(())
    }

    /// Drops everything soft and starts over from the store in a new term, so that no attempt number
    /// is ever used twice. Workers dial again and are new.
    fn rebuild(&mut self, reason: &str) -> Result<(), DriverError> {
        warn!(term = self.term.0, reason, "the store did not take a batch; rebuilding the engine from it");
        self.backlog.clear();
        self.sessions = Sessions::default();
        self.reduces = Reduces::default();
        self.progress = ProgressBoard::default();
        self.commits.clear();
        self.rendezvous.clear();
        (self.term, self.engine) = lead(&self.store, self.config.knobs.clone())?;
        Ok(())
    }

    fn submit(
        &mut self,
        submission: Submission,
        reply: oneshot::Sender<Result<Status, SubmitError>>,
    ) -> Result<(), DriverError> {
        let audit = submission.spec.audit.id.clone();
        if let Some(stored) = self.engine.spec_json(&audit)
            && stored != submission.spec_json
        {
            drop(reply.send(Err(SubmitError::OtherSpec(audit)))); // the caller may be gone
            return Ok(());
        }
        let plan = plans::build(&submission.spec);
        self.feed(Event::Submitted { audit: audit.clone(), plan, spec_json: submission.spec_json })?;
        drop(reply.send(self.status(&audit).ok_or(SubmitError::NotTaken(audit))));
        Ok(())
    }

    fn tick(&mut self) -> Result<(), DriverError> {
        for worker in self.heart.silent(&self.sessions, Instant::now()) {
            self.lose(&worker, format!("no heartbeat for {} ms", self.heart.patience().as_millis()));
        }
        self.feed(Event::Tick)
    }

    fn status(&self, audit: &AuditId) -> Option<Status> {
        self.engine.view(audit).map(|view| Status::new(view, &self.progress))
    }
}

fn lead(store: &Store, knobs: Knobs) -> Result<(Term, Engine), DriverError> {
    let term = store.elect()?;
    let records = store.load()?;
    info!(term = term.0, records = records.len(), "leading");
    Ok((term, Engine::restore(term, knobs, records)?))
}

#[cfg(test)]
mod tests;
