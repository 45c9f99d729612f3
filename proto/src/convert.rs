//! Between wire messages and domain types. A missing field is an error that names it.

use lethe_common::blob::{BlobRef, Digest, NamedBlob};
use lethe_common::fault::{Fault, FaultKind};
use lethe_common::ids::{Attempt, AuditId, IdError, PhaseIndex, ShardId, TaskId, Term};

use crate::v1;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WireError {
    #[error("message lacks {0}")]
    Missing(&'static str),
    #[error("digest has {0} bytes; expected 32")]
    Digest(usize),
    #[error("message has more than {1} {0}")]
    Limit(&'static str, usize),
    #[error(transparent)]
    Id(#[from] IdError),
}

impl From<Attempt> for v1::Attempt {
    fn from(a: Attempt) -> Self {
        Self { term: a.term.0, counter: a.counter }
    }
}

impl From<v1::Attempt> for Attempt {
    fn from(a: v1::Attempt) -> Self {
        Self { term: Term(a.term), counter: a.counter }
    }
}

impl From<TaskId> for v1::TaskId {
    fn from(t: TaskId) -> Self {
        Self { audit: t.audit.into(), phase: t.phase.0, shard: t.shard.0, attempt: Some(t.attempt.into()) }
    }
}

impl TryFrom<v1::TaskId> for TaskId {
    type Error = WireError;
    fn try_from(t: v1::TaskId) -> Result<Self, WireError> {
        Ok(Self {
            audit: AuditId::new(&t.audit)?,
            phase: PhaseIndex(t.phase),
            shard: ShardId(t.shard),
            attempt: t.attempt.ok_or(WireError::Missing("attempt"))?.into(),
        })
    }
}

impl From<BlobRef> for v1::BlobRef {
    fn from(b: BlobRef) -> Self {
        Self { path: b.path, size_bytes: b.size_bytes, digest: b.digest.0.to_vec() }
    }
}

impl TryFrom<v1::BlobRef> for BlobRef {
    type Error = WireError;
    fn try_from(b: v1::BlobRef) -> Result<Self, WireError> {
        let bytes = <[u8; 32]>::try_from(b.digest.as_slice()).map_err(|_| WireError::Digest(b.digest.len()))?;
        Ok(Self { path: b.path, size_bytes: b.size_bytes, digest: Digest(bytes) })
    }
}

impl From<NamedBlob> for v1::NamedBlob {
    fn from(n: NamedBlob) -> Self {
        Self { name: n.name, blob: Some(n.blob.into()) }
    }
}

impl TryFrom<v1::NamedBlob> for NamedBlob {
    type Error = WireError;
    fn try_from(n: v1::NamedBlob) -> Result<Self, WireError> {
        Ok(Self { name: n.name, blob: n.blob.ok_or(WireError::Missing("blob"))?.try_into()? })
    }
}

impl From<Fault> for v1::Fault {
    fn from(f: Fault) -> Self {
        let kind = match f.kind {
            FaultKind::Retryable => v1::FaultKind::Retryable,
            FaultKind::Fatal => v1::FaultKind::Fatal,
            FaultKind::OutOfMemory => v1::FaultKind::OutOfMemory,
            FaultKind::BadShard => v1::FaultKind::BadShard,
            FaultKind::HandedBack => v1::FaultKind::HandedBack,
            FaultKind::Storage => v1::FaultKind::Storage,
        };
        Self { kind: kind.into(), message: f.message }
    }
}

/// Longer messages are cut: a record keeps them, and a worker may say anything.
const MAX_MESSAGE_BYTES: usize = 4 << 10;

fn shortened(mut message: String) -> String {
    if message.len() > MAX_MESSAGE_BYTES {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
        message.push_str(" [...]");
    }
    message
}

impl From<v1::Fault> for Fault {
    /// An unspecified kind, from a newer peer, is retryable: the bounded attempts end it.
    fn from(f: v1::Fault) -> Self {
        let kind = match f.kind() {
            v1::FaultKind::Retryable | v1::FaultKind::Unspecified => FaultKind::Retryable,
            v1::FaultKind::Fatal => FaultKind::Fatal,
            v1::FaultKind::OutOfMemory => FaultKind::OutOfMemory,
            v1::FaultKind::BadShard => FaultKind::BadShard,
            v1::FaultKind::HandedBack => FaultKind::HandedBack,
            v1::FaultKind::Storage => FaultKind::Storage,
        };
        Self { kind, message: shortened(f.message) }
    }
}
