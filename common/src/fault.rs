//! One classification of failures, decided where they happen and kept across every boundary.

use serde::{Deserialize, Serialize};

/// What a scheduler may do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultKind {
    /// Another try, perhaps elsewhere, may succeed: a lost peer, a dead process, a full disk.
    Retryable,
    /// The same inputs will fail again: a wrong shape, a missing tensor, a bad spec.
    Fatal,
}

/// A failure that can be sent: what, where and what next, in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    pub kind: FaultKind,
    pub message: String,
}

impl Fault {
    pub fn retryable(message: impl Into<String>) -> Self {
        Self { kind: FaultKind::Retryable, message: message.into() }
    }

    pub fn fatal(message: impl Into<String>) -> Self {
        Self { kind: FaultKind::Fatal, message: message.into() }
    }

    pub fn is_fatal(&self) -> bool {
        match self.kind {
            FaultKind::Retryable => false,
            FaultKind::Fatal => true,
        }
    }
}
