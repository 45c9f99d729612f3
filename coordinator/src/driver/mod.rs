//! The one task that owns the engine: inputs become events, the engine answers a group of them with one list of
//! commands, the store takes the batch at its head, and only then is the rest acted on.
//!
//! It must never decide: what a fact means is the engine's. It must never act on what the store did not take:
//! while a batch is on its way, events wait, and where another leads the driver ends.

mod act;
mod answer;
mod clock;
mod handle;
mod heart;
mod input;
mod progress;
mod reduces;
mod saving;
mod sessions;
mod status;
mod submit;
mod watchers;
mod workers;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use lethe_common::blob::BlobStore;
use lethe_common::ids::{AuditId, PhaseIndex, TaskId, Term, WorkerId};
use lethe_engine::{Change, Command, CommitOutcome, Engine, Event, GangPlace, Knobs, RestoreError};
use lethe_telemetry::spans::Spans;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::info;

use crate::metrics::{Accounts, Metrics};
use crate::rendezvous::Rendezvous;
use crate::results::ResultFolder;
use crate::store::{Fence, Store, StoreError, records};
use answer::Promise;
use clock::{Clock, as_ms};
use heart::{Heart, Round};
use progress::ProgressBoard;
use reduces::Reduces;
use saving::{Saved, Saving};
use sessions::Sessions;
use watchers::Watchers;

pub use handle::{AskError, DriverHandle};
pub use heart::Heard;
pub use input::{
    Greeting, Input, JoinError, Joined, MapPhase, Order, Pace, Question, Rerun, SessionKey, Submission, SubmitError,
};
pub use progress::Progress;
pub use status::Status;

/// Inputs that may wait for the driver; senders wait for room.
const MAX_QUEUED_INPUTS: usize = 4_096;
/// Inputs taken at once.
const MAX_TAKEN: usize = 1_024;
/// Events that may wait for the store; past this, inputs wait in their queue.
const MAX_BACKLOG: usize = 65_536;
/// Watchers see at most five views a second.
const PUBLISH_EVERY: Duration = Duration::from_millis(200);

/// What a driver needs beside its store.
#[derive(Debug, Clone)]
pub struct DriverConfig {
    pub knobs: Knobs,
    pub blobs: BlobStore,
    /// Where the last reduce of a plan delivers.
    pub results: ResultFolder,
    pub metrics: Metrics,
    pub spans: Spans,
}

/// Why a driver leads no more.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the store's records do not fit together: {0}")]
    Restore(#[from] RestoreError),
    #[error("term {current} is current, not {own}: another coordinator leads")]
    Deposed { own: Term, current: Term },
}

pub struct Driver {
    config: DriverConfig,
    store: Store,
    rendezvous: Arc<Rendezvous>,
    engine: Engine,
    /// Of the last batch.
    fence: Fence,
    clock: Clock,
    backlog: VecDeque<Event>,
    /// Events that were ever in the backlog, and those that are durable.
    arrived: u64,
    saving: Option<(Saving, Pending)>,
    /// What time asked for while a batch was on its way.
    tick_is_due: bool,
    publish_is_due: bool,
    /// Answers that wait until their event is durable, in the order of those.
    promises: VecDeque<(u64, Promise)>,
    /// Questions that wait for the batch on its way, so that nobody sees what is not durable.
    questions: Vec<Question>,
    sessions: Sessions,
    reduces: Reduces,
    progress: ProgressBoard,
    /// Workers that showed a sign of life since the last step.
    lively: BTreeMap<WorkerId, (TaskId, Option<GangPlace>)>,
    watchers: Watchers,
    /// Callers who wait for the answer to their commit.
    commits: BTreeMap<(WorkerId, TaskId), Vec<oneshot::Sender<CommitOutcome>>>,
    /// As `commits`, of checkpoints by their step.
    checkpoints: BTreeMap<(WorkerId, TaskId, u64), Vec<oneshot::Sender<CommitOutcome>>>,
    phases: BTreeMap<(AuditId, PhaseIndex), Arc<MapPhase>>,
    heart: Heart,
    accounts: Accounts,
}

/// What is to be done once the batch is durable.
struct Pending {
    /// What is durable then.
    changes: Vec<Change>,
    commands: Vec<Command>,
    /// The events up to this one are durable with it.
    reached: u64,
    /// The last session there was when it was decided: a later one must not be told of it.
    sessions: u64,
}

impl Driver {
    /// Rebuilds the engine from the store, for the term that was just begun.
    ///
    /// # Errors
    /// A store that cannot be read or is damaged.
    pub async fn new(
        store: Store,
        term: Term,
        rendezvous: Arc<Rendezvous>,
        config: DriverConfig,
    ) -> Result<Self, DriverError> {
        let records = records::load(&store).await?;
        info!(term = term.0, records = records.len(), store = store.describe(), "leading");
        let accounts = Accounts::of(&records, config.metrics.clone(), config.spans.clone());
        let engine = Engine::restore(term, config.knobs.clone(), records)?;
        let heart = Heart::new(&config.knobs, Instant::now());
        Ok(Self {
            config,
            store,
            rendezvous,
            engine,
            fence: Fence { term, batch: 0 },
            clock: Clock::start(),
            backlog: VecDeque::new(),
            arrived: 0,
            saving: None,
            tick_is_due: false,
            publish_is_due: false,
            promises: VecDeque::new(),
            questions: Vec::new(),
            sessions: Sessions::default(),
            reduces: Reduces::default(),
            progress: ProgressBoard::default(),
            lively: BTreeMap::new(),
            watchers: Watchers::default(),
            commits: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            phases: BTreeMap::new(),
            heart,
            accounts,
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
    /// Another coordinator leads, or the store refuses what no retry mends.
    pub async fn run(mut self, mut inputs: mpsc::Receiver<Input>) -> Result<(), DriverError> {
        let ended = self.serve(&mut inputs).await;
        self.rendezvous.clear(); // its waiters must not hold up the end
        if let Some((mut saving, _)) = self.saving.take() {
            saving.ended().await; // it is let in, or the one who waits for us gives up
        }
        ended
    }

    async fn serve(&mut self, inputs: &mut mpsc::Receiver<Input>) -> Result<(), DriverError> {
        let mut ticks = interval(self.heart.tick_every());
        let mut publishes = interval(PUBLISH_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        publishes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut taken = Vec::with_capacity(MAX_TAKEN);
        loop {
            tokio::select! {
                count = inputs.recv_many(&mut taken, MAX_TAKEN), if self.backlog.len() < MAX_BACKLOG => {
                    let stops = taken.iter().any(|input| matches!(input, Input::Stop));
                    if count == 0 || stops {
                        return Ok(());
                    }
                    taken.drain(..).for_each(|input| self.take(input));
                }
                Some(event) = self.reduces.next() => self.push(event),
                saved = ended(&mut self.saving) => self.saved(saved)?,
                _ = ticks.tick() => self.tick(),
                _ = publishes.tick() => self.publish(),
            }
            self.step();
        }
    }

    fn push(&mut self, event: Event) {
        self.config.metrics.event(&event);
        self.arrived += 1;
        self.backlog.push_back(event);
    }

    /// Steps the engine while there are events and no batch is on its way.
    fn step(&mut self) {
        if self.saving.is_none() {
            let lively = std::mem::take(&mut self.lively);
            for (worker, (task, place)) in lively {
                self.push(match place {
                    Some(place) => Event::GangProgressed { worker, task, place },
                    None => Event::TaskProgressed { worker, task },
                });
            }
            // After the signs of life that came meanwhile: a lease must not end before them.
            if std::mem::take(&mut self.tick_is_due) {
                self.push(Event::Tick);
            }
        }
        while self.saving.is_none() && !self.backlog.is_empty() {
            let mut commands = self.engine.step_many(self.clock.now(), &mut self.backlog);
            let reached = self.arrived - self.backlog.len() as u64;
            let sessions = self.sessions.last_number();
            match commands.first_mut() {
                Some(Command::Persist(changes)) => {
                    let changes = std::mem::take(changes);
                    self.save(Pending { changes, commands, reached, sessions });
                }
                Some(_) | None => self.done(Pending { changes: Vec::new(), commands, reached, sessions }),
            }
        }
        self.config.metrics.backlog(self.backlog.len());
        self.watchers.mark();
    }

    fn save(&mut self, pending: Pending) {
        self.fence.batch += 1;
        let batch = records::batch(&pending.changes);
        let to = (self.store.clone(), self.config.metrics.clone());
        self.saving = Some((Saving::start(to, self.fence, batch), pending));
    }

    fn saved(&mut self, saved: Saved) -> Result<(), DriverError> {
        let (saving, pending) = self.saving.take().expect("a batch was on its way");
        match saved {
            Saved::Durable => {}
            Saved::Deposed { current } => return Err(DriverError::Deposed { own: self.fence.term, current }),
            Saved::Refused(error) => return Err(DriverError::Store(error)),
        }
        self.done(pending);
        // Under load the next batch begins at once: what time asked for meanwhile is done between the two.
        if std::mem::take(&mut self.publish_is_due) {
            self.publish();
        }
        std::mem::take(&mut self.questions).into_iter().for_each(|question| self.answer(question));
        let stalled_ms = as_ms(saving.since.elapsed());
        if stalled_ms > self.config.knobs.heartbeat_ms {
            self.arrived += 1;
            let stalled = Event::Stalled { ms: stalled_ms };
            self.config.metrics.event(&stalled);
            self.backlog.push_front(stalled); // before what was heard meanwhile
            self.promises.iter_mut().for_each(|(event, _)| *event += 1); // whose events are all behind it
        }
        Ok(())
    }

    /// What rests on records that are durable now.
    fn done(&mut self, pending: Pending) {
        self.accounts.take(&pending.changes);
        self.obey(pending.commands, pending.sessions);
        while self.promises.front().is_some_and(|(event, _)| *event <= pending.reached) {
            let (_, promise) = self.promises.pop_front().expect("was looked at above");
            self.keep(promise);
        }
    }

    fn tick(&mut self) {
        match self.heart.look(&self.sessions, Instant::now()) {
            Round::Stalled(time) => self.push(Event::Stalled { ms: as_ms(time) }),
            Round::Silent(workers) => {
                let silence = self.heart.silence().as_millis();
                workers.iter().for_each(|worker| self.lose(worker, format!("no heartbeat for {silence} ms")));
            }
        }
        match &self.saving {
            None => return self.push(Event::Tick),
            // A store that is away must not keep anybody from looking.
            Some((saving, _)) if as_ms(saving.since.elapsed()) > self.config.knobs.heartbeat_ms => {
                // But what counts is never told from what is not durable.
                let (wait, rest) = std::mem::take(&mut self.questions)
                    .into_iter()
                    .partition(|q| matches!(q, Question::PointsAt { .. }));
                self.questions = wait;
                Vec::into_iter(rest).for_each(|question| self.answer(question));
            }
            Some(_) => {}
        }
        self.tick_is_due = true;
    }
}

/// The end of the batch that is on its way; never, where there is none. Safe to cancel.
async fn ended(saving: &mut Option<(Saving, Pending)>) -> Saved {
    match saving {
        Some((saving, _)) => saving.ended().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
