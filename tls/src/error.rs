//! What may be wrong with certificates, each with what to do.
//!
//! It must never show a key.

use std::path::PathBuf;

use crate::identity::IdentityError;

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {}: {source}; `lethe pki` makes the three files, as does cert-manager", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{} holds no {what} in PEM form{}", path.display(), if why.is_empty() { String::new() } else { format!(": {why}") })]
    Pem { path: PathBuf, what: &'static str, why: String },
    #[error("{}: {source}", path.display())]
    Identity { path: PathBuf, source: IdentityError },
    #[error("{}: this is a certificate of role {found}; expected one of {expected}", path.display())]
    Role { path: PathBuf, found: &'static str, expected: String },
    #[error("the files in {} do not fit together: {source}", folder.display())]
    Unfit { folder: PathBuf, source: rustls::Error },
    #[error("the certificate in {} is not believed by its own ca.crt: {source}; renew it", folder.display())]
    NotBelieved { folder: PathBuf, source: rustls::Error },
    #[error("cannot make the certificate: {0}")]
    Make(#[from] rcgen::Error),
    #[error("{} is there already, and is not overwritten; name another folder, or renew what is in it with --renew", .0.display())]
    Exists(PathBuf),
    #[error("{0:?} is no host: expected a DNS name or an IP address")]
    Host(String),
}
