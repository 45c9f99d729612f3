//! Who may make which call: the one table.
//!
//! It must never hold a rule that needs more than a role and a call; what depends on the audit is [`super::caller`]'s.

use lethe_tls::Identity;
use lethe_tls::Role::{self, Admin, Submitter, Viewer, Worker};
use tonic::Status;

/// Every call by its path, and the roles that may make it. What is not here nobody may.
const RIGHTS: [(&str, &[Role]); 22] = [
    ("/lethe.v1.Audits/Submit", &[Admin, Submitter]),
    ("/lethe.v1.Audits/GetAudit", &[Admin, Submitter, Viewer]),
    ("/lethe.v1.Audits/WatchAudit", &[Admin, Submitter, Viewer]),
    ("/lethe.v1.Audits/CancelAudit", &[Admin, Submitter]),
    ("/lethe.v1.Audits/PauseAudit", &[Admin, Submitter]),
    ("/lethe.v1.Audits/ResumeAudit", &[Admin, Submitter]),
    // Whoever asks for a result is not who lets it out.
    ("/lethe.v1.Audits/ApproveAudit", &[Admin]),
    ("/lethe.v1.Audits/FetchResult", &[Admin, Submitter, Viewer]),
    ("/lethe.v1.Audits/RerunAudit", &[Admin, Submitter]),
    // Whoever may run an audit again says what its suspects are.
    ("/lethe.v1.Audits/MarkSuspects", &[Admin, Submitter]),
    ("/lethe.v1.Audits/ListMarks", &[Admin, Submitter, Viewer]),
    // Logs in to the pages, with the caller's own rights.
    ("/lethe.v1.Audits/OpenPages", &[Admin, Submitter, Viewer]),
    ("/lethe.v1.Audits/ListAudits", &[Admin, Submitter, Viewer]),
    ("/lethe.v1.Audits/ListWorkers", &[Admin, Submitter, Viewer]),
    // Workers look whether another coordinator leads by now.
    ("/lethe.v1.Audits/Cluster", &[Admin, Submitter, Viewer, Worker]),
    ("/lethe.v1.Workers/Session", &[Worker]),
    ("/lethe.v1.Workers/Commit", &[Worker]),
    ("/lethe.v1.Workers/CommitMany", &[Worker]),
    ("/lethe.v1.Workers/CheckpointGang", &[Worker]),
    ("/lethe.v1.Workers/RendezvousSet", &[Worker]),
    ("/lethe.v1.Workers/RendezvousGet", &[Worker]),
    ("/lethe.v1.Workers/RendezvousAdd", &[Worker]),
];

/// The roles that may call a path; none where there is no such call.
pub fn roles(path: &str) -> &'static [Role] {
    RIGHTS.iter().find(|(known, _)| *known == path).map_or(&[], |(_, roles)| roles)
}

/// # Errors
/// PERMISSION_DENIED, with the roles that may.
pub(super) fn allowed(peer: &Identity, path: &str) -> Result<(), Status> {
    let roles = roles(path);
    if roles.contains(&peer.role()) {
        return Ok(());
    }
    let call = path.rsplit('/').next().unwrap_or_default();
    let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
    let (name, role) = (peer.name(), peer.role());
    Err(Status::permission_denied(match names.is_empty() {
        true => format!("there is no call {call} for anybody"),
        false => format!("{name}'s certificate is of role {role}; {call} takes one of role {}", names.join(" or ")),
    }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_call_of_the_wire_is_here_once_and_nothing_else() {
        let table: BTreeSet<&str> = RIGHTS.iter().map(|(path, _)| *path).collect();
        assert_eq!(table.len(), RIGHTS.len(), "one is here twice");
        assert_eq!(table, lethe_proto::METHODS.iter().copied().collect());
        assert!(RIGHTS.iter().all(|(_, roles)| !roles.is_empty() && !roles.contains(&Role::Coordinator)));
        assert!(roles("/lethe.v1.Audits/Delete").is_empty());
    }
}
