//! Commits and checkpoints as they come in: one, or many at once, each checked against the blobs it speaks of.
//!
//! It must never answer a commit before the engine's answer is durable, nor let in one whose blobs are not there.

use futures::StreamExt;
use futures::stream;
use lethe_common::blob::{BlobError, BlobStore, NamedBlob};
use lethe_common::ids::{TaskId, WorkerId};
use lethe_engine::{CommitOutcome, Counts};
use lethe_proto::{WireError, v1};
use tonic::Status;
use tracing::warn;

use super::{faults, seat::Lead, wire};
use crate::driver::Input;

/// Commits of one call.
const MAX_COMMITS: usize = 256;
/// Blobs of one call that are looked at side by side.
const LOOKS_AT_ONCE: usize = 16;
/// Blobs up to this size are read and their digest is checked, larger ones are only measured: a reader checks
/// every digest anyway, and this must stay cheap.
const CHECKED_BYTES: u64 = 256 << 10;

struct Commit {
    worker: WorkerId,
    task: TaskId,
    outputs: Vec<NamedBlob>,
    counts: Counts,
}

impl Commit {
    fn read(worker: &str, request: v1::CommitRequest) -> Result<Self, WireError> {
        Ok(Self {
            worker: WorkerId::new(worker)?,
            task: TaskId::try_from(request.task.ok_or(WireError::Missing("task"))?)?,
            outputs: wire::outputs(bounded(request.outputs)?)?,
            counts: wire::counts(request.counts.ok_or(WireError::Missing("counts"))?),
        })
    }
}

/// Outputs of one task: programs write a handful, and a record keeps them.
const MAX_OUTPUTS: usize = 64;

fn bounded(outputs: Vec<v1::NamedBlob>) -> Result<Vec<v1::NamedBlob>, WireError> {
    if outputs.len() > MAX_OUTPUTS { Err(WireError::Limit("outputs", MAX_OUTPUTS)) } else { Ok(outputs) }
}

pub(super) async fn one(lead: &Lead, request: v1::CommitRequest) -> Result<v1::CommitReply, Status> {
    let worker = request.worker.clone();
    let commit = Commit::read(&worker, request).map_err(faults::wire)?;
    if let Err(error) = verified(&lead.blobs, &commit.outputs).await {
        return Err(faults::bad_request(unfit(error)?));
    }
    match ask(lead, commit).await? {
        CommitOutcome::Refused => Err(faults::bad_request(MISPLACED)),
        outcome => Ok(v1::CommitReply { outcome: wire::outcome(outcome).into() }),
    }
}

const MISPLACED: &str = "its outputs do not lie where its attempt writes";

/// A gang's checkpoint, under the same rules.
pub(super) async fn checkpoint(
    lead: &Lead,
    request: v1::CheckpointGangRequest,
) -> Result<v1::CheckpointGangReply, Status> {
    let (worker, task, checkpoint) = wire::checkpointed(request).map_err(faults::wire)?;
    if let Err(error) = lead.blobs.verify(&checkpoint.blob, CHECKED_BYTES).await {
        return Err(faults::bad_request(unfit(error)?));
    }
    let asked = lead.driver.ask(|reply| Input::Checkpoint { worker, task, checkpoint, reply }).await;
    match asked.map_err(faults::ask)? {
        CommitOutcome::Refused => Err(faults::bad_request(MISPLACED_CHECKPOINT)),
        outcome => Ok(v1::CheckpointGangReply { outcome: wire::outcome(outcome).into() }),
    }
}

const MISPLACED_CHECKPOINT: &str =
    "the checkpoint does not lie where its attempt writes, or in the place of the one before; give each a new name";

pub(super) async fn many(lead: &Lead, request: v1::CommitManyRequest) -> Result<v1::CommitManyReply, Status> {
    let v1::CommitManyRequest { worker, commits } = request;
    if commits.len() > MAX_COMMITS {
        return Err(faults::bad_request(format!(
            "{} commits in one call; expected at most {MAX_COMMITS}",
            commits.len()
        )));
    }
    let commits: Result<Vec<Commit>, WireError> = commits.into_iter().map(|c| Commit::read(&worker, c)).collect();
    let settled = stream::iter(commits.map_err(faults::wire)?)
        .map(|commit| async move {
            let looked = verified(&lead.blobs, &commit.outputs).await;
            (commit, looked)
        })
        .buffered(LOOKS_AT_ONCE)
        .map(|(commit, looked)| settle(lead, commit, looked))
        .buffered(MAX_COMMITS);
    let results: Vec<Result<v1::CommitResult, Status>> = settled.collect().await;
    Ok(v1::CommitManyReply { results: results.into_iter().collect::<Result<_, _>>()? })
}

async fn settle(lead: &Lead, commit: Commit, looked: Result<(), BlobError>) -> Result<v1::CommitResult, Status> {
    let refused = |reason: String| v1::CommitResult { outcome: v1::CommitOutcome::Refused.into(), reason };
    // The others of the call are none the worse for one that cannot be looked at.
    let again = |status: &Status| v1::CommitResult {
        outcome: v1::CommitOutcome::Again.into(),
        reason: status.message().to_owned(),
    };
    if let Err(error) = looked {
        return Ok(unfit(error).map_or_else(|status| again(&status), refused));
    }
    Ok(match ask(lead, commit).await? {
        CommitOutcome::Refused => refused(MISPLACED.to_owned()),
        outcome => v1::CommitResult { outcome: wire::outcome(outcome).into(), reason: String::new() },
    })
}

async fn ask(lead: &Lead, commit: Commit) -> Result<CommitOutcome, Status> {
    let Commit { worker, task, outputs, counts } = commit;
    let asked = lead.driver.ask(|reply| Input::Commit { worker, task, outputs, counts, reply }).await;
    asked.map_err(faults::ask)
}

/// Whether the blobs are there as the worker says.
async fn verified(blobs: &BlobStore, outputs: &[NamedBlob]) -> Result<(), BlobError> {
    for output in outputs {
        blobs.verify(&output.blob, CHECKED_BYTES).await?;
    }
    Ok(())
}

/// Why what was written is no good. Where nobody can tell, since the store does not answer us, the worker keeps it and asks again: its
/// work is not lost because of us.
fn unfit(error: BlobError) -> Result<String, Status> {
    if error.is_of_store() {
        warn!(%error, "what a worker wrote cannot be looked at");
        return Err(Status::unavailable(format!("the coordinator cannot look at what was written: {error}")));
    }
    Ok(error.to_string())
}

#[cfg(test)]
mod tests {
    use lethe_common::blob::{BlobRef, Digest};
    use tonic::Code;

    use super::*;

    #[tokio::test]
    async fn a_store_that_does_not_answer_us_is_not_the_workers_fault() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let blobs = BlobStore::local(folder.path()).expect("opens");
        let blob = BlobRef { path: "a/1".to_owned(), size_bytes: 1, digest: Digest::of(b"x") };
        let looked = async || {
            let output = NamedBlob { name: "signals".to_owned(), blob: blob.clone() };
            verified(&blobs, &[output]).await.expect_err("is not there")
        };
        assert!(unfit(looked().await).expect("is refused").contains("a/1"));
        // As an input/output error: something else lies where the folder should.
        std::fs::write(folder.path().join("a"), "x").expect("writes");
        assert_eq!(unfit(looked().await).expect_err("is asked again").code(), Code::Unavailable);
    }
}
