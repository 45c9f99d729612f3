//! One call to the leader, for many commits or for one, and what its answer means.
//!
//! It must never try again by itself: what was not answered is given back.

use std::time::Duration;

use lethe_common::fault::Fault;
use lethe_common::ids::TaskId;
use lethe_proto::v1;
use lethe_telemetry::logs;
use tokio::time::timeout;
use tonic::{Code, Status};
use tracing::{debug, info};

use super::{Committer, Leader, Waiting};

/// One call; the coordinator answers when the commits are durable.
const CALL_DEADLINE: Duration = Duration::from_secs(30);

/// What the leader did not answer, in order.
type Unanswered = Vec<Waiting>;

impl Committer {
    pub(super) async fn ask_together(&mut self, leader: Leader, group: Vec<Waiting>) -> Result<(), Unanswered> {
        let mut client = leader.client.clone();
        let unnamed = |w: &Waiting| v1::CommitRequest { worker: String::new(), ..w.request.clone() };
        let worker = group.first().map(|w| w.request.worker.clone()).unwrap_or_default();
        let request = v1::CommitManyRequest { worker, commits: group.iter().map(unnamed).collect() };
        let reply = self.answer(async { client.commit_many(request).await }).await;
        match reply {
            Ok(reply) => {
                let mut results = reply.into_inner().results.into_iter();
                let mut again = Vec::new();
                for waiting in group {
                    let result = results.next().unwrap_or_default();
                    if result.outcome() == v1::CommitOutcome::Again {
                        again.push(Waiting { why: Some(result.reason), ..waiting });
                        continue;
                    }
                    let Waiting { task, request, .. } = waiting;
                    let outcome = settled((&task, &request.worker), result);
                    self.settle(task, outcome);
                }
                if again.is_empty() { Ok(()) } else { Err(again) }
            }
            Err(status) if status.code() == Code::Unimplemented => {
                debug!(term = %leader.term, "the leader knows no grouped commits");
                self.ungrouped = Some(leader.term);
                self.ask_singly(leader, group).await
            }
            // One bad commit must not take the others with it.
            Err(status) if is_final(&status) => self.ask_singly(leader, group).await,
            Err(status) => Err(unanswered(group, &status)),
        }
    }

    pub(super) async fn ask_singly(&mut self, leader: Leader, group: Vec<Waiting>) -> Result<(), Unanswered> {
        let mut rest = group.into_iter();
        while let Some(waiting) = rest.next() {
            let mut client = leader.client.clone();
            let request = waiting.request.clone();
            let outcome = match self.answer(async { client.commit(request).await }).await {
                Ok(reply) => {
                    let outcome = reply.into_inner().outcome;
                    settled(
                        (&waiting.task, &waiting.request.worker),
                        v1::CommitResult { outcome, reason: String::new() },
                    )
                }
                Err(status) if is_final(&status) => Err(refused(&waiting.task, status.message())),
                Err(status) => return Err(unanswered(std::iter::once(waiting).chain(rest).collect(), &status)),
            };
            self.settle(waiting.task, outcome);
        }
        Ok(())
    }

    /// A call ends with its session, since its leader may be gone without a word.
    async fn answer<T>(&self, call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        let mut leader = self.leader.clone();
        tokio::select! {
            answer = timeout(CALL_DEADLINE, call) => answer.map_err(|_| Status::deadline_exceeded("no answer"))?,
            _ = leader.changed() => Err(Status::unavailable("the session ended")),
        }
    }
}

/// Refusals that the same request meets again.
fn is_final(status: &Status) -> bool {
    let code = status.code();
    matches!(code, Code::InvalidArgument | Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented)
}

fn settled((task, worker): (&TaskId, &str), result: v1::CommitResult) -> Result<(), Fault> {
    let said = logs::task(task, worker, None);
    match result.outcome() {
        v1::CommitOutcome::Applied => said.in_scope(|| debug!("committed")),
        v1::CommitOutcome::Stale => {
            said.in_scope(|| info!("dropped: another attempt was first, or a newer one is current"));
        }
        v1::CommitOutcome::Refused => return Err(refused(task, &result.reason)),
        v1::CommitOutcome::Unspecified | v1::CommitOutcome::Again => {
            return Err(Fault::retryable(format!("{task}: the coordinator gave no outcome for the commit")));
        }
    }
    Ok(())
}

fn refused(task: &TaskId, reason: &str) -> Fault {
    Fault::retryable(format!("{task}: the commit was refused: {reason}"))
}

fn unanswered(group: Vec<Waiting>, status: &Status) -> Unanswered {
    group.into_iter().map(|waiting| Waiting { why: Some(status.message().to_owned()), ..waiting }).collect()
}
