//! What reaches the driver, and what it sends to a worker's session: domain types only.
//!
//! It must never hold a wire message; the api turns one into the other.

use std::sync::Arc;

use lethe_common::blob::NamedBlob;
use lethe_common::fault::Fault;
use lethe_common::ids::{AuditId, TaskId, Term, WorkerId};
use lethe_common::spec::Spec;
use lethe_engine::{CommitOutcome, Counts, GangStart, MapStart};
use tokio::sync::{mpsc, oneshot, watch};

use super::progress::Progress;
use super::status::Status;

/// One session of one worker; a later session of the same worker has a higher number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionKey {
    pub worker: WorkerId,
    pub number: u64,
}

#[derive(Debug)]
pub enum Input {
    Join {
        worker: WorkerId,
        reply: oneshot::Sender<Joined>,
    },
    /// The stream closed, or could not be written.
    Leave {
        session: SessionKey,
        reason: String,
    },
    /// A heartbeat.
    Alive {
        session: SessionKey,
    },
    Progress {
        session: SessionKey,
        task: TaskId,
        progress: Progress,
    },
    Failed {
        session: SessionKey,
        task: TaskId,
        fault: Fault,
    },
    Commit {
        worker: WorkerId,
        task: TaskId,
        outputs: Vec<NamedBlob>,
        counts: Counts,
        reply: oneshot::Sender<CommitOutcome>,
    },
    Submit {
        submission: Submission,
        reply: oneshot::Sender<Result<Status, SubmitError>>,
    },
    /// The answer is absent where there is no such audit.
    Cancel {
        audit: AuditId,
        reply: oneshot::Sender<Option<Status>>,
    },
    Watch {
        audit: AuditId,
        reply: oneshot::Sender<Option<watch::Receiver<Status>>>,
    },
    Stop,
}

/// A worker's place in the driver. The orders end when the driver has given the worker up.
#[derive(Debug)]
pub struct Joined {
    pub session: SessionKey,
    pub term: Term,
    pub orders: mpsc::Receiver<Order>,
}

/// A validated spec and the JSON it is stored and handed out as.
#[derive(Debug)]
pub struct Submission {
    pub spec: Box<Spec>,
    pub spec_json: String,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SubmitError {
    #[error("audit {0} exists with another spec; choose another id, or submit the spec it began with")]
    OtherSpec(AuditId),
    #[error("the store did not take audit {0}; submit it again")]
    NotTaken(AuditId),
}

/// What a worker is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    Map { start: MapStart, spec_json: Arc<str> },
    Gang { start: GangStart, spec_json: Arc<str> },
    Abort { task: TaskId, reason: String },
}
