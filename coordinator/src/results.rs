//! Where the operator finds what an audit came to.
//!
//! It must never let one audit write over another's.

use std::path::PathBuf;

use lethe_common::ids::AuditId;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResultFolder {
    /// For a coordinator that serves one audit.
    One(PathBuf),
    /// A folder of its own for each, named after it: an id is safe in a path.
    PerAudit(PathBuf),
}

impl ResultFolder {
    pub fn of(&self, audit: &AuditId) -> PathBuf {
        match self {
            Self::One(folder) => folder.clone(),
            Self::PerAudit(folder) => folder.join(audit.as_str()),
        }
    }
}
