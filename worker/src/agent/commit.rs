//! Makes a finished task real: asks the coordinator to point at its outputs, until it answers.
//!
//! It must never give up on a network fault while the leader that issued the attempt may still take it.

use std::time::Duration;

use lethe_common::backoff::Backoff;
use lethe_common::fault::Fault;
use lethe_common::ids::{TaskId, Term, WorkerId};
use lethe_proto::v1;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tonic::Code;
use tracing::{debug, info};

use super::client::Client;
use crate::task::TaskOutput;

/// After this the coordinator has long given the lease to another worker.
const COMMIT_DEADLINE: Duration = Duration::from_secs(120);

/// One call; the coordinator answers when the commit is durable.
const CALL_DEADLINE: Duration = Duration::from_secs(30);

/// Who leads, as the last welcome said, and how to reach it; none while there is no session.
#[derive(Debug, Clone)]
pub(super) struct Leader {
    pub(super) term: Term,
    pub(super) client: Client,
}

pub(super) type LeaderWatch = watch::Receiver<Option<Leader>>;

/// Commits once or finds that it cannot be.
///
/// # Errors
/// A fault to report in place of the result. A stale commit is none: the task is somebody else's.
pub(super) async fn commit(
    worker: WorkerId,
    task: TaskId,
    output: TaskOutput,
    mut leader: LeaderWatch,
) -> Result<(), Fault> {
    let deadline = Instant::now() + COMMIT_DEADLINE;
    let request = request(&worker, &task, output);
    let mut attempt = 0;
    while Instant::now() < deadline {
        let Some(Leader { term, client }) = wait_for_leader(&mut leader, deadline).await else { break };
        if term > task.attempt.term {
            info!(%task, %term, "not committed: a newer leader has issued the task again");
            return Ok(());
        }
        match ask(client, &request).await {
            Ok(outcome) => return settle(&task, outcome),
            Err(status) if is_final(status.code()) => {
                return Err(Fault::retryable(format!("{task}: the commit was refused: {}", status.message())));
            }
            Err(status) => debug!(%task, attempt, reason = status.message(), "commit failed; trying again"),
        }
        sleep(Backoff::RECONNECT.pause(attempt, 1.0)).await;
        attempt += 1;
    }
    Err(Fault::retryable(format!("{task}: no answer to the commit within {} s", COMMIT_DEADLINE.as_secs())))
}

async fn wait_for_leader(leader: &mut LeaderWatch, deadline: Instant) -> Option<Leader> {
    let known = tokio::time::timeout_at(deadline, leader.wait_for(Option::is_some)).await;
    known.ok()?.ok()?.clone()
}

async fn ask(mut client: Client, request: &v1::CommitRequest) -> Result<v1::CommitOutcome, tonic::Status> {
    let reply = timeout(CALL_DEADLINE, client.commit(request.clone())).await;
    let reply = reply.map_err(|_| tonic::Status::deadline_exceeded("no answer"))??;
    Ok(reply.into_inner().outcome())
}

/// Refusals that the same request meets again.
fn is_final(code: Code) -> bool {
    matches!(code, Code::InvalidArgument | Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented)
}

fn settle(task: &TaskId, outcome: v1::CommitOutcome) -> Result<(), Fault> {
    match outcome {
        v1::CommitOutcome::Applied => debug!(%task, "committed"),
        v1::CommitOutcome::Stale => info!(%task, "dropped: another attempt was first, or a newer one is current"),
        v1::CommitOutcome::Unspecified | v1::CommitOutcome::Refused => {
            return Err(Fault::retryable(format!("{task}: the coordinator gave no outcome for the commit")));
        }
    }
    Ok(())
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
