//! Why bytes could not be had, by what whoever asked may do.
//!
//! It must never hold a server's words on a request that was refused: they may repeat what was signed.

use lethe_common::fault::Fault;

#[derive(Debug, Clone, thiserror::Error)]
pub enum SourceError {
    /// What the spec says cannot be followed here.
    #[error("{0}")]
    Spec(String),
    /// This machine lacks what the spec names, such as a variable; another may have it.
    #[error("{0}")]
    NotHere(String),
    #[error("{name} is not there; check data.shards and what was deleted since")]
    Missing { name: String },
    #[error(
        "access to {name} was refused; check the credentials that [data.stores.\"{store}\"] names, and their rights"
    )]
    Denied { name: String, store: String },
    /// It is another object than the one that was planned with.
    #[error("{name} changed since the audit was planned: {problem}; submit a new audit")]
    Changed { name: String, problem: String },
    /// Tried as often as is sensible.
    #[error("{name} cannot be read: {problem}")]
    Broken { name: String, problem: String },
}

impl SourceError {
    /// For a task that reads a shard. What a plan cannot read ends it, whatever the kind.
    pub fn fault(&self) -> Fault {
        let message = self.to_string();
        match self {
            Self::Spec(_) => Fault::fatal(message),
            Self::Changed { .. } => Fault::bad_shard(message),
            // Another worker may have the rights, and a mount may come back.
            Self::NotHere(_) | Self::Missing { .. } | Self::Denied { .. } | Self::Broken { .. } => {
                Fault::retryable(message)
            }
        }
    }

    /// Whether asking again may help.
    pub(crate) fn passes(&self) -> bool {
        match self {
            Self::Broken { .. } => true,
            Self::Spec(_) | Self::NotHere(_) | Self::Missing { .. } | Self::Denied { .. } | Self::Changed { .. } => {
                false
            }
        }
    }
}

impl From<SourceError> for std::io::Error {
    fn from(error: SourceError) -> Self {
        Self::other(error.to_string())
    }
}
