//! One classification of failures, decided where they happen and kept across every boundary.

use serde::{Deserialize, Serialize};

/// What a scheduler may do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultKind {
    /// Another try, perhaps elsewhere, may succeed: a lost peer, a dead process.
    Retryable,
    /// The same inputs will fail again, for every task: a wrong shape, a missing tensor, a bad spec.
    Fatal,
    /// The device had too little memory: a smaller batch may fit.
    OutOfMemory,
    /// This shard's own bytes are at fault: it changed since planning, or an input of it is damaged.
    BadShard,
    /// The worker drains or was told to stop, and did not finish: nobody's fault.
    HandedBack,
    /// What every task writes to or reads from is full or does not answer: no shard's fault, and it passes once somebody
    /// has seen to it. Maps and reduces wait for it; a gang begins another generation, of which it has a number.
    Storage,
}

impl FaultKind {
    pub const ALL: [Self; 6] =
        [Self::Retryable, Self::Fatal, Self::OutOfMemory, Self::BadShard, Self::HandedBack, Self::Storage];

    /// As metrics and spans have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retryable => "retryable",
            Self::Fatal => "fatal",
            Self::OutOfMemory => "out_of_memory",
            Self::BadShard => "bad_shard",
            Self::HandedBack => "handed_back",
            Self::Storage => "storage",
        }
    }
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

    pub fn out_of_memory(message: impl Into<String>) -> Self {
        Self { kind: FaultKind::OutOfMemory, message: message.into() }
    }

    pub fn bad_shard(message: impl Into<String>) -> Self {
        Self { kind: FaultKind::BadShard, message: message.into() }
    }

    pub fn handed_back(message: impl Into<String>) -> Self {
        Self { kind: FaultKind::HandedBack, message: message.into() }
    }

    pub fn storage(message: impl Into<String>) -> Self {
        Self { kind: FaultKind::Storage, message: message.into() }
    }

    /// Whether no other try of the same task can succeed.
    pub fn is_fatal(&self) -> bool {
        match self.kind {
            FaultKind::Retryable | FaultKind::OutOfMemory | FaultKind::HandedBack | FaultKind::Storage => false,
            FaultKind::Fatal | FaultKind::BadShard => true,
        }
    }
}
