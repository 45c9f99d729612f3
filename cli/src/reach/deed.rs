//! What to do after a call failed, from its status alone.
//!
//! It must never call a refusal of the leader a failure of the network: only the latter is tried again.

use std::error::Error;

use tonic::{Code, Status};

use super::address::Address;

/// The metadata in which a coordinator that does not lead names the one that does.
const LEADER: &str = "lethe-leader";

#[derive(Debug, PartialEq, Eq)]
pub enum Deed {
    /// The leader was asked and said no.
    GiveUp,
    /// It does not lead, and says who does.
    Redirect(Address),
    /// It did not answer, or leads no more, or does not yet.
    TryOther { answered: bool, why: String },
}

pub fn deed(status: &Status) -> Deed {
    match status.code() {
        Code::Unavailable => match leader(status) {
            Some(leader) => Deed::Redirect(leader),
            None => other(status),
        },
        // How tonic tells that a connection broke under a call.
        Code::Unknown | Code::Cancelled | Code::Internal if broke(status) => other(status),
        Code::DeadlineExceeded | Code::Aborted => other(status),
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss
        | Code::Unauthenticated => Deed::GiveUp,
    }
}

fn leader(status: &Status) -> Option<Address> {
    // A hint that is no address is as good as none.
    Address::new(status.metadata().get(LEADER)?.to_str().ok()?).ok()
}

/// Statuses that came over the wire have no source; those that tonic made of a broken connection have.
fn broke(status: &Status) -> bool {
    status.source().is_some()
}

fn other(status: &Status) -> Deed {
    Deed::TryOther { answered: !broke(status), why: why(status) }
}

/// tonic says only "transport error"; what the system said lies below.
fn why(status: &Status) -> String {
    let innermost = std::iter::successors(status.source(), |error| (*error).source()).last();
    match innermost {
        Some(error) => error.to_string(),
        None if status.message().is_empty() => status.code().to_string(),
        None => status.message().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_does_not_lead_or_answer_is_passed_over() {
        for code in [Code::NotFound, Code::InvalidArgument, Code::Unauthenticated, Code::Internal, Code::Unknown] {
            assert_eq!(deed(&Status::new(code, "no")), Deed::GiveUp, "{code:?}");
        }
        let why = "no quorum".to_owned();
        assert_eq!(deed(&Status::unavailable("no quorum")), Deed::TryOther { answered: true, why });
        let mut broken = Status::unknown("transport error");
        broken.set_source(std::sync::Arc::new(std::io::Error::other("reset by peer")));
        assert_eq!(deed(&broken), Deed::TryOther { answered: false, why: "reset by peer".to_owned() });
    }

    #[test]
    fn a_leader_is_followed_only_where_it_is_an_address() {
        let pointing = |at: &str| {
            let mut status = Status::unavailable("standby");
            status.metadata_mut().insert(LEADER, at.parse().expect("is ascii"));
            deed(&status)
        };
        assert_eq!(pointing("10.0.0.2:4040"), Deed::Redirect(Address::new("10.0.0.2:4040").expect("is one")));
        assert_eq!(pointing("nobody"), Deed::TryOther { answered: true, why: "standby".to_owned() });
    }
}
