//! What can go wrong with a group, as far as a caller acts on it differently.
//!
//! It must never hide which operation failed: every variant of one names it.

use lethe_common::fault::Fault;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CollectiveError {
    /// A peer did not do its part within the group's time-out: it hangs, or it never came.
    #[error("{operation} timed out: {detail}")]
    TimedOut { operation: &'static str, detail: String },
    /// A peer's connection is gone; the group is of no more use.
    #[error("{operation} lost a peer: {detail}")]
    PeerLost { operation: &'static str, detail: String },
    /// This machine lacks what the backend needs, and lacks it until the process starts again.
    #[error("{backend} cannot be used here: {detail}")]
    Unavailable { backend: &'static str, detail: String },
    /// Ranks were put together that cannot form a group, and cannot until their workers are started otherwise.
    #[error("{operation} refused the ranks: {detail}")]
    Mismatch { operation: &'static str, detail: String },
    /// Anything else, such as a tensor that the backend cannot take.
    #[error("{operation} failed: {detail}")]
    Other { operation: &'static str, detail: String },
}

impl From<CollectiveError> for Fault {
    /// Retryable where the next generation may have other peers or another machine, and attempts are bounded; how workers
    /// were started does not change by itself.
    fn from(error: CollectiveError) -> Self {
        match error {
            CollectiveError::Mismatch { .. } => Self::fatal(error.to_string()),
            CollectiveError::TimedOut { .. }
            | CollectiveError::PeerLost { .. }
            | CollectiveError::Unavailable { .. }
            | CollectiveError::Other { .. } => Self::retryable(error.to_string()),
        }
    }
}
