//! Our errors as gRPC statuses: the code says whether the caller should try again.
//!
//! It must never lose the message.

use lethe_common::ids::AuditId;
use lethe_engine::RerunError;
use lethe_proto::WireError;
use tonic::{Code, Status};

use crate::driver::{AskError, JoinError, SubmitError};
use crate::rendezvous::RendezvousError;
use crate::review::{MarkError, SuspectsError};

pub(super) fn unknown(audit: &AuditId) -> Status {
    Status::not_found(format!("there is no audit {audit}; submit it first"))
}

pub(super) fn bad_request(error: impl std::fmt::Display) -> Status {
    Status::invalid_argument(error.to_string())
}

pub(super) fn wire(error: WireError) -> Status {
    bad_request(error)
}

pub(super) fn ask(error: AskError) -> Status {
    let code = match error {
        AskError::Deadline => Code::DeadlineExceeded,
        AskError::Dropped => Code::Unavailable,
    };
    Status::new(code, error.to_string())
}

pub(super) fn submit(error: SubmitError) -> Status {
    let code = match &error {
        SubmitError::OtherSpec(_) => Code::AlreadyExists,
        SubmitError::NoPhase { .. } => Code::InvalidArgument,
        SubmitError::Spec(..) => Code::FailedPrecondition,
        SubmitError::Rerun(error) => match error {
            RerunError::Unknown(_) => Code::NotFound,
            RerunError::Exists(_) => Code::AlreadyExists,
            RerunError::NoPhase { .. } => Code::InvalidArgument,
            RerunError::Unfinished { .. } | RerunError::OtherPlan { .. } => Code::FailedPrecondition,
        },
    };
    Status::new(code, error.to_string())
}

pub(crate) fn mark(error: MarkError) -> Status {
    let code = match &error {
        MarkError::Suspects(error) => match **error {
            SuspectsError::NotYet(_) => Code::FailedPrecondition,
            SuspectsError::Blob(_) | SuspectsError::Table(_) | SuspectsError::Other(_) => Code::DataLoss,
        },
        MarkError::Unknown(_) => Code::NotFound,
        MarkError::NoSuspect { .. } => Code::InvalidArgument,
        MarkError::Damaged { .. } => Code::DataLoss,
        MarkError::Blob(_) => Code::Unavailable,
        MarkError::Contended => Code::Aborted,
        MarkError::Ask(AskError::Deadline) => Code::DeadlineExceeded,
        MarkError::Ask(AskError::Dropped) => Code::Unavailable,
    };
    Status::new(code, error.to_string())
}

pub(super) fn join(error: JoinError) -> Status {
    let code = match error {
        JoinError::Duplicate { .. } => Code::AlreadyExists,
    };
    Status::new(code, error.to_string())
}

pub(super) fn rendezvous(error: RendezvousError) -> Status {
    let code = match error {
        RendezvousError::Stale { .. } => Code::FailedPrecondition,
        RendezvousError::Ended(_) => Code::Aborted,
        RendezvousError::Deadline { .. } => Code::DeadlineExceeded,
        RendezvousError::Limit { .. } => Code::ResourceExhausted,
        RendezvousError::NotANumber(_) => Code::InvalidArgument,
    };
    Status::new(code, error.to_string())
}
