//! What a sweep needs: every blob there is, the removal of some, and of what broken writes left behind.
//!
//! It must never decide which blob counts.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};

use super::files::{blocking, generic};
use super::{BlobError, BlobStore};

/// Beside the blobs, and none of them: no audit's id begins so.
pub(super) const SCRATCH: &str = ".scratch";

/// One blob in the store, whether or not anything points at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub path: String,
    pub size_bytes: u64,
    pub modified: SystemTime,
}

impl BlobStore {
    /// A folder for files on their way to becoming blobs, on the blobs' own disk where they are files. It may have to be made.
    pub fn scratch(&self) -> PathBuf {
        self.scratch.to_path_buf()
    }

    /// Every blob, folder by folder, read from the store as the stream is.
    pub fn list(&self) -> BoxStream<'static, Result<Listed, BlobError>> {
        let name = self.name.clone();
        let listed = self.inner.list(None).map_ok(|meta| Listed {
            path: meta.location.to_string(),
            size_bytes: meta.size,
            modified: meta.last_modified.into(),
        });
        let blobs = listed.try_filter(|listed| {
            let blob = !listed.path.starts_with(SCRATCH);
            std::future::ready(blob)
        });
        blobs.map_err(move |source| BlobError::Access { path: name.to_string(), source }).boxed()
    }

    /// Removes blobs. One that is gone already is no error.
    pub async fn delete(&self, paths: Vec<String>) -> Result<(), BlobError> {
        let locations: Vec<_> = paths.iter().map(|path| Ok(object_store::path::Path::from(path.as_str()))).collect();
        let mut deleted = self.inner.delete_stream(stream::iter(locations).boxed()).enumerate();
        while let Some((at, outcome)) = deleted.next().await {
            match outcome {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(source) => {
                    let path = paths.get(at).cloned().unwrap_or_default();
                    return Err(BlobError::Access { path, source });
                }
            }
        }
        Ok(())
    }

    /// Removes what processes that died left before then, the number of files: scratch files, and in a local store half-written
    /// uploads and empty folders. Those that a bucket keeps are its lifecycle's to remove.
    pub async fn tidy(&self, before: SystemTime) -> Result<u64, BlobError> {
        let (root, keep) = match &self.folder {
            Some(folder) => (folder.clone(), Keep::Blobs),
            None => (self.scratch.clone(), Keep::Nothing),
        };
        let tidied = blocking(move || match tidy_folder(&root, before, keep) {
            Err(error) if keep == Keep::Nothing => unless_gone(error),
            tidied => tidied,
        });
        tidied.await.map_err(|error| BlobError::Access { path: self.name.to_string(), source: generic(error) })
    }
}

/// Which files of a folder stay, however old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    Blobs,
    Nothing,
}

/// A folder's own age is read before its files go, so that a tree that is old and empty goes at once.
fn tidy_folder(folder: &Path, before: SystemTime, keep: Keep) -> io::Result<u64> {
    let mut removed = 0;
    for entry in std::fs::read_dir(folder)? {
        removed += tidy_entry(&entry?.path(), before, keep).or_else(unless_gone)?;
    }
    Ok(removed)
}

fn tidy_entry(path: &Path, before: SystemTime, keep: Keep) -> io::Result<u64> {
    let meta = std::fs::symlink_metadata(path)?;
    let old = meta.modified()? < before;
    if meta.is_dir() {
        let scratch = path.file_name().is_some_and(|name| name == SCRATCH);
        let removed = tidy_folder(path, before, if scratch { Keep::Nothing } else { keep })?;
        if old {
            std::fs::remove_dir(path).ok(); // most are not empty
        }
        return Ok(removed);
    }
    if old && (keep == Keep::Nothing || is_half_written(path)) {
        return std::fs::remove_file(path).map(|()| 1);
    }
    Ok(0)
}

/// What is here and then not has a writer that lives.
fn unless_gone(error: io::Error) -> io::Result<u64> {
    if error.kind() == io::ErrorKind::NotFound { Ok(0) } else { Err(error) }
}

/// `name#1`: how a local store calls an upload until it is whole. No blob can be called so.
fn is_half_written(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let number = name.rsplit_once('#').map_or("", |(_, number)| number);
    !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;

    async fn paths(store: &BlobStore) -> Vec<String> {
        let mut paths: Vec<String> = store.list().map_ok(|listed| listed.path).try_collect().await.expect("lists");
        paths.sort();
        paths
    }

    #[tokio::test]
    async fn blobs_are_listed_and_removed() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let store = BlobStore::local(folder.path()).expect("opens");
        for path in ["a/1/x", "a/2/y", "b/1/z"] {
            store.put(path, Bytes::from_static(b"12345")).await.expect("writes");
        }
        std::fs::create_dir_all(store.scratch()).expect("makes");
        std::fs::write(store.scratch().join("file"), "on its way").expect("writes");
        assert_eq!(paths(&store).await, ["a/1/x", "a/2/y", "b/1/z"]);
        store.delete(vec!["a/1/x".to_owned(), "not/there".to_owned(), "b/1/z".to_owned()]).await.expect("deletes");
        assert_eq!(paths(&store).await, ["a/2/y"]);
    }

    #[tokio::test]
    async fn what_a_dead_writer_left_goes_once_it_is_old() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let store = BlobStore::local(folder.path()).expect("opens");
        store.put("a/1/x", Bytes::from_static(b"12345")).await.expect("writes");
        std::fs::write(folder.path().join("a/1/y#1"), "half").expect("writes");
        std::fs::create_dir_all(folder.path().join("b/1/2")).expect("makes");
        std::fs::create_dir_all(store.scratch().join("attempt")).expect("makes");
        std::fs::write(store.scratch().join("attempt/file"), "half").expect("writes");
        let now = SystemTime::now();
        assert_eq!(store.tidy(now - Duration::from_secs(60)).await.expect("tidies"), 0, "all of it is young");
        assert!(folder.path().join("b/1/2").is_dir() && folder.path().join("a/1/y#1").is_file());
        assert_eq!(store.tidy(now + Duration::from_secs(60)).await.expect("tidies"), 2);
        assert_eq!(paths(&store).await, ["a/1/x"]);
        let left: Vec<_> = std::fs::read_dir(folder.path()).expect("lists").map(|e| e.expect("lists").path()).collect();
        assert_eq!(left, [folder.path().join("a")]);
    }
}
