//! What reaches the driver, and what it sends to a worker's session: domain types only.
//!
//! It must never hold a wire message; the api turns one into the other.

use std::sync::Arc;

use lethe_common::blob::{BlobRef, NamedBlob};
use lethe_common::fault::Fault;
use lethe_common::ids::{AuditId, ShardId, TaskId, Term, WorkerId};
use lethe_common::spec::Spec;
use lethe_engine::{
    CommitOutcome, Control, Counts, GangCheckpoint, GangPlace, GangStart, MapStart, Marked, PhaseContext, RerunError,
    WorkerView,
};
use lethe_telemetry::Trace;
use tokio::sync::{mpsc, oneshot, watch};

use super::heart::Heard;
use super::progress::Progress;
use super::status::Status;
use crate::metrics::Census;

/// One session of one worker; a later session of the same worker has a higher number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionKey {
    pub worker: WorkerId,
    pub number: u64,
}

/// What a worker says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    pub worker: WorkerId,
    /// Another one of each process, so that two under one name are told apart; empty before version 2.
    pub instance: String,
    pub host: String,
    pub device: String,
    pub memory_bytes: u64,
    pub release: String,
    pub version: u32,
    pub slots: u32,
    /// As it said last; none before its first task ended.
    pub pace: Option<Pace>,
}

/// What a worker's map tasks came to since its start, by the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    pub samples: u64,
    pub tasks_ms: u64,
    /// Of those, in which the device waited for samples.
    pub waited_ms: u64,
}

impl Greeting {
    /// Of a worker of whom nothing is known but its name.
    pub fn of(worker: WorkerId) -> Self {
        let (instance, host, device, release) = (String::new(), String::new(), String::new(), String::new());
        Self { worker, instance, host, device, memory_bytes: 0, release, version: 1, slots: 1, pace: None }
    }
}

#[derive(Debug)]
pub enum Input {
    Join {
        greeting: Greeting,
        reply: oneshot::Sender<Result<Joined, JoinError>>,
    },
    /// The stream closed, or could not be written.
    Leave {
        session: SessionKey,
        reason: String,
    },
    Draining {
        session: SessionKey,
        reason: String,
    },
    Pace {
        session: SessionKey,
        pace: Pace,
    },
    Progress {
        session: SessionKey,
        task: TaskId,
        progress: Progress,
        /// Of a gang's rank.
        place: Option<GangPlace>,
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
    Checkpoint {
        worker: WorkerId,
        task: TaskId,
        checkpoint: GangCheckpoint,
        reply: oneshot::Sender<CommitOutcome>,
    },
    Submit {
        submission: Submission,
        reply: oneshot::Sender<Result<Status, SubmitError>>,
    },
    Rerun {
        rerun: Rerun,
        reply: oneshot::Sender<Result<Status, SubmitError>>,
    },
    /// The answer is absent where there is no such audit.
    Control {
        audit: AuditId,
        control: Control,
        /// Who asks, as the client names itself.
        by: String,
        reply: oneshot::Sender<Option<Status>>,
    },
    /// The answer is the audit afterwards: with these marks, or with others that came in between.
    KeepMarks {
        audit: AuditId,
        by: String,
        marks: BlobRef,
        replaces: Option<BlobRef>,
        made: Marked,
        reply: oneshot::Sender<Option<Status>>,
    },
    Ask(Question),
    Stop,
}

/// What changes nothing.
#[derive(Debug)]
pub enum Question {
    /// The answer is absent where there is no such audit.
    Watch {
        audit: AuditId,
        reply: oneshot::Sender<Option<watch::Receiver<Status>>>,
    },
    /// The answer is absent where there is no such audit.
    Spec {
        audit: AuditId,
        reply: oneshot::Sender<Option<String>>,
    },
    /// What a map phase gave for one shard.
    ShardOutputs {
        audit: AuditId,
        phase: String,
        shard: ShardId,
        reply: oneshot::Sender<Vec<NamedBlob>>,
    },
    List {
        reply: oneshot::Sender<Vec<Status>>,
    },
    Workers {
        reply: oneshot::Sender<Vec<(WorkerView, Greeting)>>,
    },
    Census {
        reply: oneshot::Sender<Census>,
    },
    /// Which of these blobs count.
    PointsAt {
        paths: Vec<String>,
        reply: oneshot::Sender<Vec<bool>>,
    },
}

/// A worker's place in the driver. The orders end when the driver has given the worker up.
#[derive(Debug)]
pub struct Joined {
    pub session: SessionKey,
    pub term: Term,
    pub orders: mpsc::Receiver<Order>,
    pub heard: Heard,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum JoinError {
    #[error("a worker called {worker} is connected from host {host} and alive; start this one with another --id")]
    Duplicate { worker: WorkerId, host: String },
}

/// A validated spec and the JSON it is stored and handed out as.
#[derive(Debug)]
pub struct Submission {
    pub spec: Box<Spec>,
    pub spec_json: String,
    pub submitter: String,
    pub priority: i32,
    /// The caller's place in a trace.
    pub trace: Option<Trace>,
}

/// A new audit that begins with another's results.
#[derive(Debug)]
pub struct Rerun {
    pub audit: AuditId,
    pub of: AuditId,
    /// The name of the first phase that runs again.
    pub from: String,
    /// Absent where it is the other's.
    pub spec: Option<Box<Spec>>,
    pub submitter: String,
    pub priority: i32,
    pub trace: Option<Trace>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SubmitError {
    #[error("audit {0} exists with another spec; choose another id, or submit the spec it began with")]
    OtherSpec(AuditId),
    #[error("the plan has no phase {name:?}; it has {}", phases.join(", "))]
    NoPhase { name: String, phases: Vec<String> },
    #[error("the stored spec of audit {0} is not one that this build reads: {1}")]
    Spec(AuditId, String),
    #[error(transparent)]
    Rerun(#[from] RerunError),
}

/// What a worker is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    Map { start: MapStart, phase: Arc<MapPhase> },
    Gang { start: GangStart, spec_json: Arc<str>, trace: Option<Trace> },
    Abort { task: TaskId, reason: String },
}

/// What all tasks of one map phase share.
#[derive(Debug, PartialEq, Eq)]
pub struct MapPhase {
    pub context: PhaseContext,
    pub spec_json: Arc<str>,
    /// The phase's span.
    pub trace: Option<Trace>,
}
