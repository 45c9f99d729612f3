//! What a coordinator will not do, by what the user can do about it.
//!
//! It must never call the coordinator's own trouble bad input.

use anyhow::anyhow;
use lethe_proto::v1::ListAuditsRequest;
use tonic::{Code, Status};

use crate::exit::bad_input;
use crate::reach::{CallError, Coordinators, Patience, near};

/// What lets a caller in, as docs/security.md has it.
const WHO_YOU_ARE: &str = "set LETHE_TOKEN to the token that the coordinator was started with, or LETHE_TLS to the folder of your certificate";

/// An error as it ends the command: with code 2 where other input would mend it, with 4 where time would, else 1.
pub fn ended(error: CallError) -> anyhow::Error {
    match error {
        CallError::Refused(status) => refused(&status),
        CallError::NoLeader(_) => error.into(),
    }
}

fn refused(status: &Status) -> anyhow::Error {
    let told = status.message();
    match status.code() {
        Code::InvalidArgument | Code::NotFound | Code::AlreadyExists | Code::FailedPrecondition | Code::OutOfRange => {
            bad_input(told)
        }
        Code::Unauthenticated => bad_input(format!("{told}; {WHO_YOU_ARE}")),
        Code::PermissionDenied => bad_input(told),
        Code::Unimplemented => anyhow!("the coordinator does not know this command; is it of an older release?"),
        Code::ResourceExhausted => CallError::Refused(status.clone()).into(),
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => anyhow!("the coordinator answered {}: {told}", status.code()),
    }
}

/// As [`ended`]; an audit that is not there is told with the names near it.
pub async fn of_audit(coordinators: &mut Coordinators, audit: &str, error: CallError) -> anyhow::Error {
    match &error {
        CallError::Refused(status) if status.code() == Code::NotFound => unknown(coordinators, audit).await,
        CallError::Refused(_) | CallError::NoLeader(_) => ended(error),
    }
}

async fn unknown(coordinators: &mut Coordinators, audit: &str) -> anyhow::Error {
    let list = coordinators.call(Patience::CALL, async |mut client| client.list_audits(ListAuditsRequest {}).await);
    // The hint is worth a question, and no error of its own.
    let names: Vec<String> = list.await.map(|l| l.audits).unwrap_or_default().into_iter().map(|a| a.audit).collect();
    bad_input(match near(audit, names.iter().map(String::as_str))[..] {
        [] => format!("there is no audit {audit:?}; lethe list --all shows those there are"),
        ref near => format!("there is no audit {audit:?}; did you mean {}?", near.join(" or ")),
    })
}
