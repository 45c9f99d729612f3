//! Inputs and outputs a piece at a time, through files on the blobs' own disk.
//!
//! They must never leave a file behind: it goes with its handle, or with the sweep where the process was killed.

use std::fs::File;
use std::path::Path;

use lethe_common::blob::{BlobError, NamedBlob};
use lethe_common::fault::Fault;
use tempfile::NamedTempFile;

use super::TaskContext;
use super::blobs::blob_fault;

impl TaskContext<'_> {
    /// A file for an output that is written as it is computed.
    pub fn scratch_file(&self) -> Result<NamedTempFile, Fault> {
        let folder = self.blobs.scratch();
        let made = std::fs::create_dir_all(&folder).and_then(|()| NamedTempFile::new_in(&folder));
        made.map_err(|e| scratch_fault(&folder, &e))
    }

    /// Writes a scratch file as an output under this attempt's own path.
    pub fn put_file(&self, name: &str, file: NamedTempFile) -> Result<NamedBlob, Fault> {
        self.blobs.put_file(&self.task, name, file.path())
    }

    /// What belongs to the task's own shard, verified, as a file that has no name any more.
    pub fn open_own(&self, blob: &NamedBlob) -> Result<File, Fault> {
        let file = self.scratch_file()?;
        self.blobs.get_file(&blob.blob, file.path()).map_err(|error| match error {
            BlobError::Damaged { .. } => Fault::bad_shard(error.to_string()),
            BlobError::Open { .. } | BlobError::Access { .. } | BlobError::TooLarge { .. } => blob_fault(error),
        })?;
        // Not `reopen`: a second try has made another file under the name, which is meant.
        File::open(file.path()).map_err(|e| scratch_fault(file.path(), &e))
    }
}

/// Another handle of a scratch file, for whoever writes it.
pub fn writer_of(file: &NamedTempFile) -> Result<File, Fault> {
    file.reopen().map_err(|e| scratch_fault(file.path(), &e))
}

/// A full disk may be mended before the next try.
fn scratch_fault(path: &Path, error: &std::io::Error) -> Fault {
    Fault::storage(format!("scratch {}: {error}; check the folder's rights and free space", path.display()))
}
