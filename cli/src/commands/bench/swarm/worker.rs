//! One simulated worker: a session, its leases, and the commits of what it has finished.
//!
//! It must never hold more than its slots, nor finish what it was not leased.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lethe_proto::WIRE_VERSION;
use lethe_proto::v1::coordinator_message::Kind as Order;
use lethe_proto::v1::worker_message::Kind as Message;
use lethe_proto::v1::{
    CommitManyReply, CommitManyRequest, CommitOutcome, CommitRequest, CoordinatorMessage, Counts, Heartbeat, TaskId,
    Welcome, WorkerHello, WorkerMessage,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status, Streaming};

use super::dial::{Client, Dial};
use super::micros;
use super::tally::Tally;
use crate::arguments::Swarm;

/// Commits of one call, by the wire's contract.
const MAX_COMMITS: usize = 256;
const REDIAL: Duration = Duration::from_millis(50);
/// Under callgrind a coordinator takes its time.
const WELCOME_DEADLINE: Duration = Duration::from_secs(60);
/// Where nothing is due by the clock.
const NEVER: Duration = Duration::from_secs(86_400);

pub struct Simulated {
    index: u32,
    slots: u32,
    /// Mean seconds between two finished shards, where there is a rate.
    gap: Option<f64>,
    draws: ChaCha8Rng,
    dial: Arc<Dial>,
    tally: Arc<Tally>,
}

/// A shard that is finished, and since when.
type Finished = (TaskId, Instant);
type Commit = Pin<Box<dyn Future<Output = Result<Response<CommitManyReply>, Status>> + Send>>;

/// What a worker holds while its session lasts.
struct Desk {
    client: Client,
    name: String,
    /// Leased and, by the clock, not yet finished.
    held: VecDeque<TaskId>,
    /// Finished by the clock before there was a lease for it.
    owed: VecDeque<Instant>,
    /// Slots that became free, and when they should have been served.
    free: VecDeque<Instant>,
    ready: Vec<Finished>,
    sent: Vec<Instant>,
    commit: Option<Commit>,
    next: Instant,
}

impl Simulated {
    pub fn new(index: u32, arguments: &Swarm, dial: Arc<Dial>, tally: Arc<Tally>) -> Self {
        let gap = arguments.rate.map(|rate| f64::from(arguments.workers) / rate);
        Self { index, slots: arguments.slots, gap, draws: ChaCha8Rng::seed_from_u64(u64::from(index)), dial, tally }
    }

    /// Sessions one after the other, at the next coordinator each time, until closed.
    pub async fn work(mut self, mut closing: watch::Receiver<bool>) {
        for turn in 0_usize.. {
            let client = self.dial.client(self.index, turn);
            let ended = tokio::select! {
                ended = self.session(client, closing.clone(), turn) => ended,
                _ = closing.wait_for(|close| *close), if turn > 0 => return,
            };
            match ended {
                Ok(()) => return,
                Err(why) => self.tally.error(&why),
            }
            sleep(REDIAL).await;
        }
    }

    /// `Ok` once closed.
    async fn session(
        &mut self,
        mut client: Client,
        mut closing: watch::Receiver<bool>,
        turn: usize,
    ) -> Result<(), String> {
        let name = format!("sim-{:05}", self.index);
        let (outbox, messages) = mpsc::channel(8);
        let hello = self.hello(&name);
        outbox.send(message(Message::Hello(hello))).await.map_err(|e| e.to_string())?;
        let stream = client.session(ReceiverStream::new(messages)).await.map_err(|e| e.message().to_owned())?;
        let mut stream = stream.into_inner();
        let welcome = welcomed(&mut stream).await?;
        if turn == 0 {
            Tally::add(&self.tally.joined, 1);
        }
        let mut beats = interval(Duration::from_millis(welcome.heartbeat_ms.max(1)));
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut desk = Desk::new(client, name, Instant::now() + self.gap());
        loop {
            let clock_next = desk.next;
            tokio::select! {
                order = stream.message() => match order {
                    Ok(Some(CoordinatorMessage { kind: Some(kind) })) => self.obey(kind, &mut desk, welcome.term),
                    Ok(Some(CoordinatorMessage { kind: None })) => {}
                    Ok(None) => return Err("the coordinator closed the session".to_owned()),
                    Err(status) => return Err(status.message().to_owned()),
                },
                reply = committed(&mut desk.commit) => self.settle(reply, &mut desk)?,
                () = sleep_until(clock_next), if self.gap.is_some() => self.finish_due(&mut desk),
                _ = beats.tick() => drop(outbox.try_send(message(Message::Heartbeat(Heartbeat::default())))),
                _ = closing.wait_for(|close| *close) => {
                    let now = Instant::now();
                    Tally::waited(&self.tally.lease_waits, desk.free.iter().map(|due| micros(*due, now)));
                    Tally::waited(&self.tally.commit_waits, desk.sent.iter().map(|due| micros(*due, now)));
                    return Ok(());
                }
            }
            desk.commit_ready();
        }
    }

    fn hello(&self, name: &str) -> WorkerHello {
        WorkerHello {
            worker: name.to_owned(),
            version: WIRE_VERSION,
            host: "bench".to_owned(),
            device: "simulated".to_owned(),
            slots: self.slots,
            instance: format!("{}-{}", std::process::id(), self.index),
            ..WorkerHello::default()
        }
    }

    fn obey(&mut self, order: Order, desk: &mut Desk, term: u64) {
        match order {
            Order::MapLeases(leases) => {
                let tasks: Vec<TaskId> = leases.leases.into_iter().filter_map(|lease| lease.task).collect();
                Tally::add(&self.tally.lease_messages, 1);
                Tally::add(&self.tally.leases, tasks.len());
                self.tally.granted(term);
                let now = Instant::now();
                let served = desk.free.drain(..tasks.len().min(desk.free.len()));
                Tally::waited(&self.tally.lease_waits, served.map(|due| micros(due, now)));
                tasks.into_iter().for_each(|task| self.take(task, desk, now));
            }
            Order::Abort(abort) => {
                let given_up = abort.task.unwrap_or_default();
                desk.held.retain(|task| *task != given_up);
            }
            Order::Welcome(_) | Order::MapPhase(_) => {}
            // The benchmark's audits have no gangs, and version 2 is sent no single tasks.
            Order::Map(_) | Order::Gang(_) => self.tally.error("an order that was not expected came"),
        }
    }

    fn take(&self, task: TaskId, desk: &mut Desk, now: Instant) {
        match (self.gap, desk.owed.pop_front()) {
            (None, _) => desk.finish(task, now),
            // It would have been finished when it was due, so that is since when its slot waits.
            (Some(_), Some(due)) => desk.finish(task, due),
            (Some(_), None) => desk.held.push_back(task),
        }
    }

    /// Every shard that is finished by now; the clock never waits for the loop.
    fn finish_due(&mut self, desk: &mut Desk) {
        while desk.next <= Instant::now() {
            let due = desk.next;
            match desk.held.pop_front() {
                Some(task) => desk.finish(task, due),
                None => desk.owed.push_back(due),
            }
            desk.next = due + self.gap();
        }
    }

    /// Exponential gaps: finishing is a Poisson process over all workers.
    fn gap(&mut self) -> Duration {
        let Some(mean) = self.gap else { return NEVER };
        let draw: f64 = self.draws.random();
        Duration::from_secs_f64((-mean * (1.0 - draw).ln()).min(NEVER.as_secs_f64()))
    }

    fn settle(&self, reply: Result<Response<CommitManyReply>, Status>, desk: &mut Desk) -> Result<(), String> {
        let results = reply.map_err(|status| status.message().to_owned())?.into_inner().results;
        let now = Instant::now();
        Tally::add(&self.tally.commit_requests, 1);
        Tally::waited(&self.tally.commit_waits, desk.sent.drain(..).map(|due| micros(due, now)));
        for result in results {
            let counter = match result.outcome() {
                CommitOutcome::Applied => &self.tally.commits,
                CommitOutcome::Stale => &self.tally.stale,
                CommitOutcome::Refused | CommitOutcome::Again | CommitOutcome::Unspecified => &self.tally.refused,
            };
            Tally::add(counter, 1);
        }
        Ok(())
    }
}

impl Desk {
    fn new(client: Client, name: String, next: Instant) -> Self {
        let (held, owed, free) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        Self { client, name, held, owed, free, ready: Vec::new(), sent: Vec::new(), commit: None, next }
    }

    fn finish(&mut self, task: TaskId, due: Instant) {
        self.free.push_back(due);
        self.ready.push((task, due));
    }

    /// One call at a time, as an agent does: what is finished meanwhile goes with the next.
    fn commit_ready(&mut self) {
        if self.commit.is_some() || self.ready.is_empty() {
            return;
        }
        let batch: Vec<Finished> = self.ready.drain(..self.ready.len().min(MAX_COMMITS)).collect();
        self.sent = batch.iter().map(|(_, due)| *due).collect();
        let commits = batch.into_iter().map(|(task, _)| commit(task)).collect();
        let request = CommitManyRequest { worker: self.name.clone(), commits };
        let mut client = self.client.clone();
        self.commit = Some(Box::pin(async move { client.commit_many(request).await }));
    }
}

/// The account of a shard of the usual size; no blob, so that no disk but the store's is measured.
fn commit(task: TaskId) -> CommitRequest {
    let counts = Some(Counts { read: 10_000, scored: 10_000, failed: 0 });
    CommitRequest { task: Some(task), counts, ..CommitRequest::default() }
}

/// The answer of the commit under way; never, where there is none.
async fn committed(commit: &mut Option<Commit>) -> Result<Response<CommitManyReply>, Status> {
    match commit {
        Some(call) => {
            let reply = call.await;
            *commit = None;
            reply
        }
        None => std::future::pending().await,
    }
}

async fn welcomed(stream: &mut Streaming<CoordinatorMessage>) -> Result<Welcome, String> {
    let first = timeout(WELCOME_DEADLINE, stream.message()).await.map_err(|_| "no welcome came".to_owned())?;
    match first.map_err(|status| status.message().to_owned())?.and_then(|message| message.kind) {
        Some(Order::Welcome(welcome)) => Ok(welcome),
        Some(_) | None => Err("the session did not begin with a welcome".to_owned()),
    }
}

fn message(kind: Message) -> WorkerMessage {
    WorkerMessage { kind: Some(kind) }
}
