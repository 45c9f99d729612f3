//! Who a certificate names: a role and a name, as one URI of its subject alternative names.
//!
//! It must never take a name from the subject: only what the authority wrote as a SPIFFE id counts.

use std::fmt;
use std::str::FromStr;

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// `spiffe://lethe/ROLE/NAME`: SPIFFE's form, which cert-manager and SPIRE can issue as well.
const PREFIX: &str = "spiffe://lethe/";

const MAX_NAME_BYTES: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Everything that a person does, to everybody's audits.
    Admin,
    /// Submits audits, and steers and fetches its own.
    Submitter,
    /// Looks, and changes nothing.
    Viewer,
    /// Computes.
    Worker,
    /// Serves; calls nothing.
    Coordinator,
}

impl Role {
    pub const ALL: [Self; 5] = [Self::Admin, Self::Submitter, Self::Viewer, Self::Worker, Self::Coordinator];

    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Submitter => "submitter",
            Self::Viewer => "viewer",
            Self::Worker => "worker",
            Self::Coordinator => "coordinator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| IdentityError::Form(text.to_owned()))
    }
}

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    role: Role,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    #[error(
        "{0:?} names nobody; expected {PREFIX}ROLE/NAME, ROLE one of admin, submitter, viewer, worker, coordinator"
    )]
    Form(String),
    #[error("{0:?} is no name; expected 1 to {MAX_NAME_BYTES} letters, digits, '.', '_' or '-'")]
    Name(String),
    #[error("the certificate names nobody; expected one URI {PREFIX}ROLE/NAME among its alternative names")]
    None,
    #[error("the certificate names several; expected one URI {PREFIX}ROLE/NAME among its alternative names")]
    Several,
    #[error("the certificate cannot be read: {0}")]
    Broken(String),
}

impl Identity {
    /// # Errors
    /// A name that is empty, too long, or has other characters than file names and labels have.
    pub fn new(role: Role, name: &str) -> Result<Self, IdentityError> {
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let fits = (1..=MAX_NAME_BYTES).contains(&name.len()) && name.chars().all(known);
        if fits { Ok(Self { role, name: name.to_owned() }) } else { Err(IdentityError::Name(name.to_owned())) }
    }

    /// # Errors
    /// A certificate that is damaged, or that does not name exactly one.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, IdentityError> {
        let broken = |error: &dyn fmt::Display| IdentityError::Broken(error.to_string());
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|e| broken(&e))?;
        let names = parsed.subject_alternative_name().map_err(|e| broken(&e))?;
        let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
        let mut ours = names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) if uri.starts_with(PREFIX) => Some(*uri),
            _ => None,
        });
        match (ours.next(), ours.next()) {
            (None, _) => Err(IdentityError::None),
            (Some(uri), None) => uri.parse(),
            (Some(_), Some(_)) => Err(IdentityError::Several),
        }
    }

    pub fn role(&self) -> Role {
        self.role
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a process may call itself so: by the certificate's name, or by that and what follows a dash, so that the
    /// pods of one deployment share a certificate.
    pub fn covers(&self, name: &str) -> bool {
        name.strip_prefix(&self.name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }
}

/// The URI.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}/{}", self.role, self.name)
    }
}

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(uri: &str) -> Result<Self, IdentityError> {
        let form = || IdentityError::Form(uri.to_owned());
        let (role, name) = uri.strip_prefix(PREFIX).and_then(|rest| rest.split_once('/')).ok_or_else(form)?;
        Self::new(role.parse().map_err(|_| form())?, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_written_as_it_is_read() {
        for role in Role::ALL {
            let identity = Identity::new(role, "team-a.1").expect("is a name");
            assert_eq!(identity.to_string().parse(), Ok(identity));
        }
    }

    #[test]
    fn what_names_nobody_is_refused() {
        for bad in ["", "spiffe://other/admin/a", "spiffe://lethe/root/a", "spiffe://lethe/admin"] {
            assert_eq!(bad.parse::<Identity>(), Err(IdentityError::Form(bad.to_owned())), "{bad}");
        }
        for bad in ["", "a/b", "a b", "ä", "a\n"] {
            assert_eq!(Identity::new(Role::Viewer, bad), Err(IdentityError::Name(bad.to_owned())), "{bad:?}");
        }
        assert!(Identity::new(Role::Viewer, &"a".repeat(65)).is_err());
    }

    #[test]
    fn a_pool_shares_a_certificate_and_no_other_pool_does() {
        let pool = Identity::new(Role::Worker, "gpu").expect("is a name");
        for (name, covered) in [("gpu", true), ("gpu-0", true), ("gpu2", false), ("gp", false), ("cpu-gpu", false)] {
            assert_eq!(pool.covers(name), covered, "{name}");
        }
    }
}
