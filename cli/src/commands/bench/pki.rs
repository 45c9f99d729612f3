//! Certificates for a measurement's own coordinator and callers.
//!
//! They must never be believed by anything else: the authority goes with its folder.

use std::path::{Path, PathBuf};

use lethe_tls::authority::{Authority, Existing, Request};
use lethe_tls::{Identity, Role};
use tempfile::TempDir;

const DAYS: u32 = 2;

/// An authority and one certificate of each role, on loopback.
pub struct Pki {
    folder: TempDir,
}

impl Pki {
    pub fn make() -> anyhow::Result<Self> {
        let pki = Self { folder: tempfile::Builder::new().prefix("lethe-bench-pki-").tempdir()? };
        Authority::create(&pki.path("ca"), DAYS)?;
        let authority = Authority::load(&pki.path("ca"))?;
        for role in Role::ALL {
            let hosts = match role {
                Role::Coordinator => vec!["127.0.0.1".to_owned()],
                Role::Admin | Role::Submitter | Role::Viewer | Role::Worker => Vec::new(),
            };
            // The simulated workers are called sim-...
            let name = if role == Role::Worker { "sim" } else { role.name() };
            let request = Request { identity: Identity::new(role, name)?, hosts, days: DAYS };
            authority.issue(&request, &pki.of(role), Existing::Keep)?;
        }
        Ok(pki)
    }

    /// The folder of the certificate of a role.
    pub fn of(&self, role: Role) -> PathBuf {
        self.path(role.name())
    }

    /// A viewer's certificate by an authority that the coordinator does not believe; its bearer believes the coordinator's.
    pub fn stranger(&self) -> anyhow::Result<PathBuf> {
        let (other, folder) = (self.path("other-ca"), self.path("stranger"));
        Authority::create(&other, DAYS)?;
        let identity = Identity::new(Role::Viewer, "stranger")?;
        let request = Request { identity, hosts: Vec::new(), days: DAYS };
        Authority::load(&other)?.issue(&request, &folder, Existing::Keep)?;
        std::fs::copy(self.of(Role::Viewer).join(lethe_tls::ROOTS), folder.join(lethe_tls::ROOTS))?;
        Ok(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(self.folder.path()).join(name)
    }
}
