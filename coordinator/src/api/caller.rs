//! Who makes a call, and what follows from it for the audit or worker that the call speaks of.
//!
//! It must never take a name from a message where a certificate has one.

use lethe_tls::{Identity, Role};
use tonic::{Request, Status};

use super::rights;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Has the token of a coordinator on loopback: everything, under the name it gives itself.
    Trusted,
    Known(Identity),
}

impl Caller {
    /// Of one who is trusted all the same the most.
    pub fn role(&self) -> Role {
        match self {
            Self::Trusted => Role::Admin,
            Self::Known(identity) => identity.role(),
        }
    }

    /// # Errors
    /// PERMISSION_DENIED where the caller's role is not among the call's.
    pub fn may_call(&self, path: &str) -> Result<(), Status> {
        match self {
            Self::Trusted => Ok(()),
            Self::Known(identity) => rights::allowed(identity, path),
        }
    }

    /// Absent only where a service is tried without its gate.
    pub fn of<T>(request: &Request<T>) -> Self {
        request.extensions().get::<Self>().cloned().expect("the gate has let the call through")
    }

    /// The name that quotas and histories have for the caller.
    pub fn name(&self, given: String) -> String {
        match self {
            Self::Trusted => given,
            Self::Known(identity) => identity.name().to_owned(),
        }
    }

    /// # Errors
    /// PERMISSION_DENIED where a submitter would change somebody else's audit.
    pub fn may_change(&self, audit: &str, submitter: &str) -> Result<(), Status> {
        match self {
            Self::Trusted => Ok(()),
            Self::Known(identity) if identity.role() != Role::Submitter || identity.name() == submitter => Ok(()),
            Self::Known(identity) => Err(Status::permission_denied(format!(
                "{audit} is {submitter}'s; {} may change its own audits only, an admin any",
                identity.name()
            ))),
        }
    }

    /// Whether the caller gets of a result only what a person reads, whoever approved it: page, report and exhibits.
    pub fn only_reads(&self, submitter: &str) -> bool {
        match self {
            Self::Trusted => false,
            Self::Known(identity) => match identity.role() {
                Role::Admin => false,
                Role::Submitter => identity.name() != submitter,
                Role::Viewer | Role::Worker | Role::Coordinator => true,
            },
        }
    }

    /// # Errors
    /// PERMISSION_DENIED where a worker speaks for one that its certificate does not cover.
    pub fn may_speak_for(&self, worker: &str) -> Result<(), Status> {
        match self {
            Self::Trusted => Ok(()),
            Self::Known(identity) if identity.covers(worker) => Ok(()),
            Self::Known(identity) => {
                let name = identity.name();
                Err(Status::permission_denied(format!(
                    "{worker:?} is not this worker's name: its certificate covers {name} and {name}-..."
                )))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(role: Role, name: &str) -> Caller {
        Caller::Known(Identity::new(role, name).expect("is a name"))
    }

    #[test]
    fn a_submitter_has_its_own_audits_and_an_admin_all() {
        for (caller, may_change, only_reads) in [
            (Caller::Trusted, true, false),
            (known(Role::Admin, "root"), true, false),
            (known(Role::Submitter, "ann"), true, false),
            (known(Role::Submitter, "bob"), false, true),
        ] {
            assert_eq!(caller.may_change("march", "ann").is_ok(), may_change, "{caller:?}");
            assert_eq!(caller.only_reads("ann"), only_reads, "{caller:?}");
        }
        assert!(known(Role::Viewer, "ann").only_reads("ann"), "a viewer of a submitter's name is a viewer");
        assert_eq!(known(Role::Submitter, "ann").name("bob".to_owned()), "ann");
        assert_eq!(Caller::Trusted.name("bob".to_owned()), "bob");
    }

    #[test]
    fn a_worker_speaks_for_itself() {
        let pool = known(Role::Worker, "gpu");
        assert!(pool.may_speak_for("gpu-3").is_ok() && Caller::Trusted.may_speak_for("any").is_ok());
        assert!(pool.may_speak_for("cpu-3").expect_err("is another's").message().contains("covers gpu and gpu-"));
    }
}
