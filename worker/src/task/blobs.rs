//! The blob store for code that is not async: the executor's torch thread.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use lethe_common::blob::{BlobError, BlobRef, BlobStore, NamedBlob, attempt_path};
use lethe_common::fault::Fault;
use lethe_common::ids::TaskId;
use lethe_source::SourceError;
use tokio::runtime::Runtime;

/// What is older belongs to an executor that was killed.
const LEFT_BEHIND: Duration = Duration::from_secs(86_400);

/// Reads and writes block the calling thread, which must not be one of a tokio runtime.
#[derive(Debug)]
pub struct Blobs {
    store: BlobStore,
    runtime: Runtime,
}

impl Blobs {
    /// Opens the store at a root as the coordinator's welcome gives it: `file:///…`, or a bucket by this machine's credentials.
    pub fn open(root: &str) -> Result<Self, Fault> {
        // A folder of blobs has one of its own.
        let scratch = if root.starts_with("file://") { PathBuf::new() } else { scratch()? };
        let store = lethe_source::open_blobs(root, &scratch).map_err(root_fault)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| Fault::retryable(format!("cannot start a runtime for blobs: {e}")))?;
        let is_remote = store.scratch() == scratch;
        if is_remote && let Some(before) = SystemTime::now().checked_sub(LEFT_BEHIND) {
            runtime.block_on(store.tidy(before)).map_err(blob_fault)?;
        }
        Ok(Self { store, runtime })
    }

    /// Reads a blob whole; its size and digest are verified. What looks damaged is read once more, since the first
    /// read may have been a torn one.
    pub fn get(&self, blob: &BlobRef) -> Result<Bytes, BlobError> {
        match self.runtime.block_on(self.store.get(blob)) {
            Err(BlobError::Damaged { .. }) => self.runtime.block_on(self.store.get(blob)),
            read @ (Ok(_) | Err(BlobError::Open { .. } | BlobError::Access { .. } | BlobError::TooLarge { .. })) => {
                read
            }
        }
    }

    /// As [`get`](Self::get), into a file and never whole in memory.
    pub fn get_file(&self, blob: &BlobRef, to: &Path) -> Result<(), BlobError> {
        match self.runtime.block_on(self.store.get_file(blob, to)) {
            Err(BlobError::Damaged { .. }) => self.runtime.block_on(self.store.get_file(blob, to)),
            read @ (Ok(()) | Err(BlobError::Open { .. } | BlobError::Access { .. } | BlobError::TooLarge { .. })) => {
                read
            }
        }
    }

    /// A folder for files on their way to becoming blobs, which may have to be made.
    pub fn scratch(&self) -> PathBuf {
        self.store.scratch()
    }

    /// A file's bytes, under a path that belongs to this attempt alone.
    pub fn put_file(&self, task: &TaskId, name: &str, file: &Path) -> Result<NamedBlob, Fault> {
        let path = attempt_path(task, name);
        let blob = self.runtime.block_on(self.store.put_file(&path, file)).map_err(blob_fault)?;
        Ok(NamedBlob { name: name.to_owned(), blob })
    }

    /// Writes under a path that belongs to this attempt alone.
    pub fn put(&self, task: &TaskId, name: &str, bytes: Bytes) -> Result<NamedBlob, Fault> {
        let path = attempt_path(task, name);
        let blob = self.runtime.block_on(self.store.put(&path, bytes)).map_err(blob_fault)?;
        Ok(NamedBlob { name: name.to_owned(), blob })
    }
}

/// A folder of this user's alone for files on their way to a bucket; TMPDIR says where.
fn scratch() -> Result<PathBuf, Fault> {
    let own = std::fs::metadata("/proc/self").map_err(|e| Fault::storage(format!("/proc/self: {e}")))?.uid();
    let folder = std::env::temp_dir().join(format!("lethe-scratch-{own}"));
    let unusable = |problem: &dyn std::fmt::Display| {
        Fault::storage(format!("scratch {}: {problem}; check TMPDIR", folder.display()))
    };
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(unusable(&error)),
        Ok(()) | Err(_) => {}
    }
    let found = std::fs::symlink_metadata(&folder).map_err(|error| unusable(&error))?;
    if !found.is_dir() || found.uid() != own || found.mode() & 0o077 != 0 {
        return Err(unusable(&"it is open to others, or not this user's"));
    }
    Ok(folder)
}

/// A folder that is not there may come back; another worker may have the credentials that this one lacks.
fn root_fault(error: SourceError) -> Fault {
    match error {
        SourceError::Broken { .. } => Fault::storage(error.to_string()),
        SourceError::NotHere(_) => Fault::retryable(error.to_string()),
        SourceError::Spec(_)
        | SourceError::Missing { .. }
        | SourceError::Denied { .. }
        | SourceError::Changed { .. } => Fault::fatal(error.to_string()),
    }
}

/// A store that is full or cannot be reached may come back, and no task is to blame; a single blob that is not there may
/// come back too, but not for ever; one that is too large stays so. What damage means, only the reader
/// knows.
pub(crate) fn blob_fault(error: BlobError) -> Fault {
    match error {
        BlobError::Damaged { .. } => Fault::retryable(error.to_string()),
        BlobError::Open { .. } | BlobError::Access { .. } if error.is_absent() => Fault::retryable(error.to_string()),
        BlobError::Open { .. } | BlobError::Access { .. } => Fault::storage(error.to_string()),
        BlobError::TooLarge { .. } => Fault::fatal(error.to_string()),
    }
}
