//! Tells the coordinator where a gang's checkpoint lies.
//!
//! It must never hold a training up: a checkpoint that nobody takes is swept away, and the next one follows.

use std::time::Duration;

use lethe_common::backoff::Backoff;
use lethe_common::ids::{TaskId, WorkerId};
use lethe_proto::v1;
use lethe_telemetry::logs;
use tokio::time::{sleep, timeout};
use tracing::{Instrument, debug, warn};

use super::commit::Leader;
use crate::task::Checkpoint;

/// Tries after which the next checkpoint is the better one.
const TRIES: u32 = 5;
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

pub(super) async fn tell(leader: Option<Leader>, worker: WorkerId, task: TaskId, checkpoint: Checkpoint) {
    let said = logs::task(&task, worker.as_str(), None);
    try_to_tell(leader, worker, task, checkpoint).instrument(said).await;
}

async fn try_to_tell(leader: Option<Leader>, worker: WorkerId, task: TaskId, checkpoint: Checkpoint) {
    let Some(Leader { mut client, .. }) = leader else {
        return debug!(step = checkpoint.step, "a checkpoint was written while there was no session");
    };
    let step = checkpoint.step;
    let request = v1::CheckpointGangRequest {
        worker: worker.to_string(),
        task: Some(task.into()),
        checkpoint: Some(v1::GangCheckpoint { step, blob: Some(checkpoint.blob.into()) }),
    };
    let mut last = "no answer came".to_owned();
    for attempt in 0..TRIES {
        match timeout(ANSWER_DEADLINE, client.checkpoint_gang(request.clone())).await {
            Ok(Ok(reply)) => return debug!(step, outcome = ?reply.into_inner().outcome(), "checkpoint told"),
            Ok(Err(status)) => status.message().clone_into(&mut last),
            Err(_elapsed) => {}
        }
        sleep(Backoff::RECONNECT.pause(attempt, 1.0)).await;
    }
    warn!(step, reason = last, "the coordinator did not take a checkpoint; the next one follows");
}
