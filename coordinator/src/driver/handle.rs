//! How the api reaches the driver: a clone-able sender whose every question has a deadline.
//!
//! It must never hold state of its own.

use std::time::Duration;

use lethe_common::blob::{BlobRef, NamedBlob};
use lethe_common::ids::{AuditId, ShardId};
use lethe_engine::{Control, Marked, WorkerView};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::input::{Greeting, Input, JoinError, Joined, Question, Rerun, Submission, SubmitError};
use super::status::Status;
use crate::metrics::Census;

/// The driver answers in milliseconds; past this it is stuck on its disk.
const ASK_DEADLINE: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AskError {
    #[error("the coordinator did not answer within {} s; try again", ASK_DEADLINE.as_secs())]
    Deadline,
    /// It stops, or it rebuilt its engine and forgot the question.
    #[error("the coordinator stopped or began a new term before it answered; try again")]
    Dropped,
}

#[derive(Debug, Clone)]
pub struct DriverHandle {
    inputs: mpsc::Sender<Input>,
}

impl DriverHandle {
    pub(super) fn new(inputs: mpsc::Sender<Input>) -> Self {
        Self { inputs }
    }

    /// Queues an input that has no answer.
    pub async fn tell(&self, input: Input) -> Result<(), AskError> {
        match timeout(ASK_DEADLINE, self.inputs.send(input)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_gone)) => Err(AskError::Dropped),
            Err(_elapsed) => Err(AskError::Deadline),
        }
    }

    /// Queues an input and waits for its answer.
    pub async fn ask<T>(&self, input: impl FnOnce(oneshot::Sender<T>) -> Input) -> Result<T, AskError> {
        let (reply, answer) = oneshot::channel();
        self.tell(input(reply)).await?;
        match timeout(ASK_DEADLINE, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_dropped)) => Err(AskError::Dropped),
            Err(_elapsed) => Err(AskError::Deadline),
        }
    }

    pub async fn join(&self, greeting: Greeting) -> Result<Result<Joined, JoinError>, AskError> {
        self.ask(|reply| Input::Join { greeting, reply }).await
    }

    pub async fn submit(&self, submission: Submission) -> Result<Result<Status, SubmitError>, AskError> {
        self.ask(|reply| Input::Submit { submission, reply }).await
    }

    pub async fn rerun(&self, rerun: Rerun) -> Result<Result<Status, SubmitError>, AskError> {
        self.ask(|reply| Input::Rerun { rerun, reply }).await
    }

    /// The audit's status afterwards; absent where there is no such audit.
    pub async fn control(&self, audit: AuditId, control: Control, by: String) -> Result<Option<Status>, AskError> {
        self.ask(|reply| Input::Control { audit, control, by, reply }).await
    }

    /// Keeps marks in the place of others. The audit's status afterwards, which has these where nobody's came in between; absent
    /// where there is no such audit.
    pub async fn keep_marks(
        &self,
        audit: AuditId,
        by: String,
        (marks, replaces): (BlobRef, Option<BlobRef>),
        made: Marked,
    ) -> Result<Option<Status>, AskError> {
        self.ask(|reply| Input::KeepMarks { audit, by, marks, replaces, made, reply }).await
    }

    /// The audit's status now and on every change; absent where there is no such audit.
    pub async fn watch(&self, audit: AuditId) -> Result<Option<watch::Receiver<Status>>, AskError> {
        self.ask(|reply| Input::Ask(Question::Watch { audit, reply })).await
    }

    /// The spec it runs by, as JSON; absent where there is no such audit.
    pub async fn spec_json(&self, audit: AuditId) -> Result<Option<String>, AskError> {
        self.ask(|reply| Input::Ask(Question::Spec { audit, reply })).await
    }

    /// What a map phase, by its name, gave for one shard; nothing where it gave nothing.
    pub async fn shard_outputs(
        &self,
        audit: AuditId,
        phase: String,
        shard: ShardId,
    ) -> Result<Vec<NamedBlob>, AskError> {
        self.ask(|reply| Input::Ask(Question::ShardOutputs { audit, phase, shard, reply })).await
    }

    pub async fn list(&self) -> Result<Vec<Status>, AskError> {
        self.ask(|reply| Input::Ask(Question::List { reply })).await
    }

    pub async fn workers(&self) -> Result<Vec<(WorkerView, Greeting)>, AskError> {
        self.ask(|reply| Input::Ask(Question::Workers { reply })).await
    }

    /// How many there are of what.
    pub async fn census(&self) -> Result<Census, AskError> {
        self.ask(|reply| Input::Ask(Question::Census { reply })).await
    }

    /// Which of these blobs count.
    pub async fn points_at(&self, paths: Vec<String>) -> Result<Vec<bool>, AskError> {
        self.ask(|reply| Input::Ask(Question::PointsAt { paths, reply })).await
    }

    pub async fn stop(&self) -> Result<(), AskError> {
        self.tell(Input::Stop).await
    }
}
