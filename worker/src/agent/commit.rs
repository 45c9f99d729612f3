//! Makes finished tasks real: asks the coordinator to point at their outputs, until it answers.
//!
//! It must never give up on a network fault while the leader that issued the attempt may still take it, nor hold a
//! result back to wait for others: what goes together is what had to wait anyway.

mod ask;

use std::time::Duration;

use lethe_common::backoff::Backoff;
use lethe_common::fault::Fault;
use lethe_common::ids::{TaskId, Term, WorkerId};
use lethe_proto::v1;
use lethe_telemetry::logs;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, info, warn};

use super::client::Client;
use crate::task::TaskOutput;

/// Longer than any outage that a leader survives; what really ends a commit is that its lease went to another.
const COMMIT_DEADLINE: Duration = Duration::from_secs(600);

/// Commits in one call.
const MAX_GROUP: usize = 256;

/// Who leads, as the last welcome said, and how to reach it; none while there is no session.
#[derive(Debug, Clone)]
pub(super) struct Leader {
    pub(super) term: Term,
    pub(super) client: Client,
}

pub(super) type LeaderWatch = watch::Receiver<Option<Leader>>;

/// A fault is to be reported in place of the result. A stale commit is none: the task is somebody else's.
pub(super) type Settled = (TaskId, Result<(), Fault>);

/// The commits on their way. Dropping this gives them up.
#[derive(Debug)]
pub(super) struct Commits {
    queue: mpsc::UnboundedSender<Waiting>,
    settled: mpsc::UnboundedReceiver<Settled>,
    open: usize,
    worker: WorkerId,
    _committer: JoinSet<()>,
}

impl Commits {
    pub(super) fn new(worker: WorkerId, leader: LeaderWatch) -> Self {
        // Both unbounded: a worker finishes tasks far more slowly than this takes them.
        let (queue, finished) = mpsc::unbounded_channel();
        let (outcomes, settled) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(Committer::new(leader, finished, outcomes).run());
        Self { queue, settled, open: 0, worker, _committer: tasks }
    }

    pub(super) fn push(&mut self, task: TaskId, output: TaskOutput) {
        let request = request(&self.worker, &task, output);
        self.open += 1;
        drop(self.queue.send(Waiting { task, request, deadline: Instant::now() + COMMIT_DEADLINE, why: None }));
    }

    pub(super) fn all_answered(&self) -> bool {
        self.open == 0
    }

    /// The next commit to be answered. Cancel-safe; waits forever where none is open.
    pub(super) async fn settled(&mut self) -> Settled {
        match self.settled.recv().await {
            Some(settled) => {
                self.open -= 1;
                settled
            }
            None => std::future::pending().await,
        }
    }
}

#[derive(Debug)]
struct Waiting {
    task: TaskId,
    request: v1::CommitRequest,
    deadline: Instant,
    /// Why the last try gave no outcome.
    why: Option<String>,
}

impl Waiting {
    fn term(&self) -> Term {
        self.task.attempt.term
    }
}

#[derive(Debug)]
struct Committer {
    leader: LeaderWatch,
    finished: mpsc::UnboundedReceiver<Waiting>,
    settled: mpsc::UnboundedSender<Settled>,
    waiting: Vec<Waiting>,
    /// The term of a leader that knows no groups.
    ungrouped: Option<Term>,
    failures: u32,
    jitter: ChaCha8Rng,
}

impl Committer {
    fn new(
        leader: LeaderWatch,
        finished: mpsc::UnboundedReceiver<Waiting>,
        settled: mpsc::UnboundedSender<Settled>,
    ) -> Self {
        let jitter = ChaCha8Rng::seed_from_u64(u64::from(std::process::id()));
        Self { leader, finished, settled, waiting: Vec::new(), ungrouped: None, failures: 0, jitter }
    }

    /// Ends with the agent.
    async fn run(mut self) {
        loop {
            if self.waiting.is_empty() {
                let Some(first) = self.finished.recv().await else { return };
                self.waiting.push(first);
            }
            while let Ok(next) = self.finished.try_recv() {
                self.waiting.push(next);
            }
            let leader = self.leader.borrow_and_update().clone();
            self.give_up_late(Instant::now());
            self.drop_superseded(leader.as_ref());
            match leader {
                Some(leader) if self.waiting.iter().any(|w| w.term() == leader.term) => self.commit(leader).await,
                Some(_) | None if self.waiting.is_empty() => {}
                Some(_) | None => {
                    if !self.changed().await {
                        return;
                    }
                }
            }
        }
    }

    /// Until there is a leader, a task or a deadline more. False where the agent is gone.
    async fn changed(&mut self) -> bool {
        let late = self.waiting.iter().map(|w| w.deadline).min().unwrap_or_else(Instant::now);
        tokio::select! {
            changed = self.leader.changed() => changed.is_ok(),
            next = self.finished.recv() => next.map(|next| self.waiting.push(next)).is_some(),
            () = sleep_until(late) => true,
        }
    }

    async fn commit(&mut self, leader: Leader) {
        let group = self.take_group(leader.term);
        let grouped = self.ungrouped != Some(leader.term);
        let asked = if grouped { self.ask_together(leader, group).await } else { self.ask_singly(leader, group).await };
        let Err(unanswered) = asked else {
            self.failures = 0;
            return;
        };
        let why = unanswered.iter().find_map(|waiting| waiting.why.as_deref()).unwrap_or_default();
        match self.failures {
            0 => warn!(commits = unanswered.len(), why, "commits failed; trying again"),
            failures => debug!(commits = unanswered.len(), why, failures, "commits failed; trying again"),
        }
        self.waiting.splice(..0, unanswered);
        sleep(Backoff::RECONNECT.pause(self.failures, self.jitter.random())).await;
        self.failures = self.failures.saturating_add(1);
    }

    /// The oldest of a term; the others stay.
    fn take_group(&mut self, term: Term) -> Vec<Waiting> {
        let (mut group, mut rest): (Vec<_>, Vec<_>) = self.waiting.drain(..).partition(|w| w.term() == term);
        rest.splice(..0, group.drain(group.len().min(MAX_GROUP)..));
        self.waiting = rest;
        group
    }

    fn give_up_late(&mut self, now: Instant) {
        for late in self.waiting.extract_if(.., |w| w.deadline <= now) {
            let why = late.why.unwrap_or_else(|| "no coordinator was reached".to_owned());
            let message = format!("{}: not committed within {} s: {why}", late.task, COMMIT_DEADLINE.as_secs());
            drop(self.settled.send((late.task, Err(Fault::retryable(message)))));
        }
    }

    fn drop_superseded(&mut self, leader: Option<&Leader>) {
        let Some(Leader { term, .. }) = leader else { return };
        for old in self.waiting.extract_if(.., |w| w.term() < *term) {
            let said = logs::task(&old.task, &old.request.worker, None);
            said.in_scope(|| info!(%term, "not committed: a newer leader has issued the task again"));
            drop(self.settled.send((old.task, Ok(()))));
        }
    }

    fn settle(&self, task: TaskId, outcome: Result<(), Fault>) {
        drop(self.settled.send((task, outcome))); // the agent may be gone
    }
}

fn request(worker: &WorkerId, task: &TaskId, output: TaskOutput) -> v1::CommitRequest {
    let counts = output.counts;
    v1::CommitRequest {
        worker: worker.to_string(),
        task: Some(task.clone().into()),
        outputs: output.outputs.into_iter().map(Into::into).collect(),
        counts: Some(v1::Counts { read: counts.read, scored: counts.scored, failed: counts.failed }),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;
    use tonic::transport::Endpoint;

    use super::*;
    use crate::agent::client::Credentials;
    use crate::task::sample_id;

    const PATIENT: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn what_an_older_leader_gave_is_settled_unasked() {
        let nobody = Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
        let client = Credentials::new(None).expect("has no token").client(nobody);
        let (leader, watched) = watch::channel(None);
        let mut commits = Commits::new(WorkerId::new("w0").expect("is an id"), watched);
        commits.push(sample_id(1), TaskOutput::default());
        assert!(!commits.all_answered());
        leader.send_replace(Some(Leader { term: Term(sample_id(1).attempt.term.0 + 1), client }));
        let settled = timeout(PATIENT, commits.settled()).await.expect("is settled in time");
        assert_eq!(settled, (sample_id(1), Ok(())));
        assert!(commits.all_answered());
    }
}
