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
use crate::store::{Candidate, Reign, Store, StoreError, records};
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
    /// How this coordinator stands for election.
    pub candidate: Candidate,
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
    store: Store,
    rendezvous: Arc<Rendezvous>,
    engine: Engine,
    term: Term,
    /// The last batch of this term.
    batch: u64,
    /// Absent only while the next one is sought.
    reign: Option<Reign>,
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
    /// Waits to be elected and rebuilds the engine from the store.
    ///
    /// # Errors
    /// A store that cannot be read or is damaged.
    pub async fn new(store: Store, rendezvous: Arc<Rendezvous>, config: DriverConfig) -> Result<Self, DriverError> {
        let (reign, engine) = lead(&store, &config).await?;
        let heart = Heart::new(config.knobs.heartbeat_ms, Instant::now());
        Ok(Self {
            config,
            store,
            rendezvous,
            engine,
            term: reign.term,
            batch: 0,
            reign: Some(reign),
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
                    Some(input) => self.take(input).await?,
                },
                Some(event) = self.reduces.next() => self.feed(event).await?,
                _ = ticks.tick() => self.tick().await?,
                _ = publishes.tick() => self.publish(),
                reason = lost(&mut self.reign) => self.rebuild(&reason).await?,
            }
        }
        self.rendezvous.clear(); // its waiters must not hold up the end
        if let Some(reign) = self.reign {
            reign.resign().await;
        }
        Ok(())
    }

    async fn take(&mut self, input: Input) -> Result<(), DriverError> {
        self.watchers.mark();
        match input {
            Input::Join { worker, reply } => self.join(worker, reply).await,
            Input::Leave { session, reason } => self.leave(&session, reason).await,
            Input::Alive { session } => {
                self.sessions.touch(&session, Instant::now());
                Ok(())
            }
            Input::Progress { session, task, progress } => self.progressed(session, task, progress).await,
            Input::Failed { session, task, fault } => self.failed(session, task, fault).await,
            Input::Commit { worker, task, outputs, counts, reply } => {
                self.commits.entry((worker.clone(), task.clone())).or_default().push(reply);
                self.feed(Event::TaskCommitted { worker, task, outputs, counts }).await
            }
            Input::Submit { submission, reply } => self.submit(submission, reply).await,
            Input::Cancel { audit, reply } => {
                self.feed(Event::CancelRequested { audit: audit.clone() }).await?;
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
    async fn feed(&mut self, event: Event) -> Result<(), DriverError> {
        self.backlog.push_back(event);
        self.drain().await
    }

    async fn drain(&mut self) -> Result<(), DriverError> {
        while let Some(event) = self.backlog.pop_front() {
            let commands = self.engine.step(Millis::now(), event);
            if let Err(reason) = self.obey(commands).await {
                self.rebuild(&reason).await?;
            }
        }
        self.watchers.mark();
        Ok(())
    }

    /// Drops everything soft and starts over from the store in a new term, so that no attempt number
    /// is ever used twice. Workers dial again and are new.
    async fn rebuild(&mut self, reason: &str) -> Result<(), DriverError> {
        warn!(term = self.term.0, reason, "the store did not take a batch; rebuilding the engine from it");
        self.backlog.clear();
        self.sessions = Sessions::default();
        self.reduces = Reduces::default();
        self.progress = ProgressBoard::default();
        self.commits.clear();
        self.rendezvous.clear();
        if let Some(reign) = self.reign.take() {
            reign.resign().await;
        }
        let (reign, engine) = lead(&self.store, &self.config).await?;
        (self.term, self.batch, self.engine) = (reign.term, 0, engine);
        self.reign = Some(reign);
        Ok(())
    }

    async fn submit(
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
        self.feed(Event::Submitted { audit: audit.clone(), plan, spec_json: submission.spec_json }).await?;
        drop(reply.send(self.status(&audit).ok_or(SubmitError::NotTaken(audit))));
        Ok(())
    }

    async fn tick(&mut self) -> Result<(), DriverError> {
        for worker in self.heart.silent(&self.sessions, Instant::now()) {
            self.lose(&worker, format!("no heartbeat for {} ms", self.heart.patience().as_millis()));
        }
        self.feed(Event::Tick).await
    }

    fn status(&self, audit: &AuditId) -> Option<Status> {
        self.engine.view(audit).map(|view| Status::new(view, &self.progress))
    }
}

async fn lead(store: &Store, config: &DriverConfig) -> Result<(Reign, Engine), DriverError> {
    let reign = store.campaign(&config.candidate).await?;
    let records = records::load(store).await?;
    info!(term = reign.term.0, records = records.len(), "leading");
    let engine = Engine::restore(reign.term, config.knobs.clone(), records)?;
    Ok((reign, engine))
}

/// Ends when another leader was seen.
async fn lost(reign: &mut Option<Reign>) -> String {
    match reign {
        Some(reign) => reign.lost().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
