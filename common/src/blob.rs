//! Big bytes, outside the store: written once under an attempt's own path, checksummed, read back
//! verified.
//!
//! A blob is real only once the store points at it. This module must never decide that; it only
//! moves bytes.

mod collect;
mod files;

pub use collect::Listed;

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};

use crate::ids::{Attempt, AuditId, PhaseIndex, ShardId, TaskId, Term};

/// The largest blob that is written from memory or read into it, in bytes: the state of a training of 5 G parameters.
pub const MAX_BLOB_BYTES: u64 = 64 << 30;

/// A BLAKE3 digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Of everything a reader gives, without holding it.
    pub fn of_reader(reader: impl std::io::Read) -> std::io::Result<Self> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(reader)?;
        Ok(Self(*hasher.finalize().as_bytes()))
    }

    pub fn to_hex(self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl TryFrom<String> for Digest {
    type Error = blake3::HexError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        blake3::Hash::from_hex(text).map(|hash| Self(*hash.as_bytes()))
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_hex()
    }
}

/// Where a blob lies (a path under the store's root), its size and its digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BlobRef {
    pub path: String,
    pub size_bytes: u64,
    pub digest: Digest,
}

/// A task's outputs: what each is called, and where it lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NamedBlob {
    pub name: String,
    pub blob: BlobRef,
}

#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("blob store {root}: {source}")]
    Open { root: String, source: object_store::Error },
    #[error("blob {path}: {source}")]
    Access { path: String, source: object_store::Error },
    /// What was found has no digest where its size alone gave it away.
    #[error(
        "blob {path} is damaged: expected {expected_bytes} bytes with digest {expected:?}, found {found_bytes} bytes{}",
        found.map_or(String::new(), |found| format!(" with {found:?}"))
    )]
    Damaged { path: String, expected_bytes: u64, expected: Digest, found_bytes: u64, found: Option<Digest> },
    #[error("blob {path} has {size_bytes} bytes; the limit is {MAX_BLOB_BYTES}")]
    TooLarge { path: String, size_bytes: u64 },
}

impl BlobError {
    /// Whether the store, and not the blob, is what fails: it may answer the next time. Who may not read will not the next time either.
    pub fn is_of_store(&self) -> bool {
        match self {
            Self::Open { source, .. } | Self::Access { source, .. } => !self.is_absent() && !is_denied(source),
            Self::Damaged { .. } | Self::TooLarge { .. } => false,
        }
    }

    /// Whether the store answered, and has no such blob.
    pub fn is_absent(&self) -> bool {
        match self {
            Self::Open { source, .. } | Self::Access { source, .. } => {
                matches!(source, object_store::Error::NotFound { .. })
            }
            Self::Damaged { .. } | Self::TooLarge { .. } => false,
        }
    }
}

fn is_denied(error: &object_store::Error) -> bool {
    use object_store::Error::{PermissionDenied, Unauthenticated};
    let first: &(dyn std::error::Error + 'static) = error;
    // A folder's is told by the system's own error alone.
    let is_of_system = std::iter::successors(Some(first), |error| error.source())
        .filter_map(|error| error.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::PermissionDenied);
    is_of_system || matches!(error, PermissionDenied { .. } | Unauthenticated { .. })
}

/// Where blobs lie, a folder or a bucket; clones share it.
#[derive(Debug, Clone)]
pub struct BlobStore {
    inner: Arc<dyn ObjectStore>,
    /// As messages call it.
    name: Arc<str>,
    /// Of a local store alone.
    folder: Option<Arc<Path>>,
    scratch: Arc<Path>,
}

impl BlobStore {
    /// Opens the store in a local folder, which is made where it is missing.
    pub fn local(root: &Path) -> Result<Self, BlobError> {
        let open = |source| BlobError::Open { root: root.display().to_string(), source };
        std::fs::create_dir_all(root)
            .map_err(|e| open(object_store::Error::Generic { store: "folder", source: Box::new(e) }))?;
        let inner = LocalFileSystem::new_with_prefix(root).map_err(open)?.with_fsync(true);
        Ok(Self {
            inner: Arc::new(inner),
            name: root.display().to_string().into(),
            folder: Some(Arc::from(root)),
            scratch: Arc::from(root.join(collect::SCRATCH)),
        })
    }

    /// A store that somebody opened, by the name that messages are to give it; a folder on this machine takes the files on their
    /// way to it. Every request must end by itself, one that fails in passing be made again.
    pub fn remote(objects: Arc<dyn ObjectStore>, name: &str, scratch: &Path) -> Self {
        Self { inner: objects, name: name.into(), folder: None, scratch: Arc::from(scratch) }
    }

    /// Writes, reads and removes a few bytes: whether this process may do here what it must.
    pub async fn check(&self) -> Result<(), BlobError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let path = format!("{}/check-{}-{now}", collect::SCRATCH, std::process::id());
        let blob = self.put(&path, Bytes::from_static(b"may blobs be kept here?")).await?;
        self.get(&blob).await?;
        self.delete(vec![path]).await
    }

    /// Writes bytes under a path nobody else writes (an attempt's), whole or not at all: where the disk is full
    /// nothing of it stays.
    pub async fn put(&self, path: &str, bytes: Bytes) -> Result<BlobRef, BlobError> {
        let size_bytes = bytes.len() as u64;
        if size_bytes > MAX_BLOB_BYTES {
            return Err(BlobError::TooLarge { path: path.to_owned(), size_bytes });
        }
        let blob = BlobRef { path: path.to_owned(), size_bytes, digest: Digest::of(&bytes) };
        if bytes.len() > files::PART_BYTES {
            return self.put_in_parts(path, bytes).await.map(|()| blob);
        }
        let at = object_store::path::Path::from(path);
        match self.inner.put(&at, PutPayload::from_bytes(bytes)).await {
            Ok(_) => Ok(blob),
            Err(source) => Err(BlobError::Access { path: path.to_owned(), source }),
        }
    }

    /// Reads a blob whole and checks its size and digest.
    pub async fn get(&self, blob: &BlobRef) -> Result<Bytes, BlobError> {
        if blob.size_bytes > MAX_BLOB_BYTES {
            return Err(BlobError::TooLarge { path: blob.path.clone(), size_bytes: blob.size_bytes });
        }
        let at = object_store::path::Path::from(blob.path.as_str());
        let access = |source| BlobError::Access { path: blob.path.clone(), source };
        let got = self.inner.get(&at).await.map_err(access)?;
        // Before any memory is taken: somebody may have put another thing there.
        if got.meta.size != blob.size_bytes {
            return Err(blob.damaged(got.meta.size, None));
        }
        let bytes = got.bytes().await.map_err(access)?;
        let found = Digest::of(&bytes);
        if found != blob.digest || bytes.len() as u64 != blob.size_bytes {
            return Err(blob.damaged(bytes.len() as u64, Some(found)));
        }
        Ok(bytes)
    }
}

impl BlobRef {
    fn damaged(&self, found_bytes: u64, found: Option<Digest>) -> BlobError {
        BlobError::Damaged {
            path: self.path.clone(),
            expected_bytes: self.size_bytes,
            expected: self.digest,
            found_bytes,
            found,
        }
    }
}

/// `audit/phase/shard/attempt/name`: no two attempts share a path.
pub fn attempt_path(task: &TaskId, name: &str) -> String {
    format!("{}/{:03}/{:07}/{}/{name}", task.audit, task.phase.0, task.shard.0, task.attempt)
}

/// The task and the name of a path that [`attempt_path`] made; none for any other path.
pub fn parse_attempt_path(path: &str) -> Option<(TaskId, &str)> {
    let mut parts = path.splitn(5, '/');
    let mut next = || parts.next();
    let audit = AuditId::new(next()?).ok()?;
    let phase = PhaseIndex(next()?.parse().ok()?);
    let shard = ShardId(next()?.parse().ok()?);
    let (term, counter) = next()?.split_once('.')?;
    let attempt = Attempt { term: Term(term.parse().ok()?), counter: counter.parse().ok()? };
    let (task, name) = (TaskId { audit, phase, shard, attempt }, next()?);
    let canonical = !name.is_empty() && !name.contains('/') && attempt_path(&task, name) == path;
    canonical.then_some((task, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_attempts_are_read_back() {
        let attempt = Attempt { term: Term(3), counter: 17 };
        let audit = AuditId::new("a.1").expect("is an id");
        let task = TaskId { audit, phase: PhaseIndex(2), shard: ShardId(12_345_678), attempt };
        assert_eq!(parse_attempt_path(&attempt_path(&task, "x.json")), Some((task, "x.json")));
        for other in ["a/002/0000001/3.17", "a/2/0000001/3.17/x", "a/002/0000001/3/x", "a/002/0000001/3.17/x/y", "x"] {
            assert_eq!(parse_attempt_path(other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn a_damaged_blob_is_noticed() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let store = BlobStore::local(folder.path()).expect("opens");
        let blob = store.put("a/b/c", Bytes::from_static(b"bytes")).await.expect("writes");
        assert_eq!(store.get(&blob).await.expect("reads"), "bytes");
        std::fs::write(folder.path().join("a/b/c"), "bytez").expect("damages");
        assert!(matches!(store.get(&blob).await, Err(BlobError::Damaged { .. })));
    }
}
