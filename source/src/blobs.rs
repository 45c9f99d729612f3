//! Where an installation keeps its blobs: a folder that all share, or a bucket.
//!
//! It must never take a credential from anywhere but the process's own environment, or from the machine's identity.

use std::path::Path;
use std::sync::Arc;

use lethe_common::blob::BlobStore;
use lethe_common::spec::{Scheme, StoreSection, StoreUrl};
use object_store::path::Path as Key;
use object_store::prefix::PrefixStore;

use crate::credentials::{self, Purpose};
use crate::error::SourceError;

/// Opens `file:///an/absolute/folder`, `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`. Credentials and
/// endpoints of a bucket are those of the environment, under the names that its own tools use. `scratch` is a folder of this machine
/// for files on their way to a bucket; a folder of blobs has one of its own.
///
/// # Errors
/// A URL that names neither, and credentials that make no store. Nothing is asked of the bucket yet.
pub fn open(root: &str, scratch: &Path) -> Result<BlobStore, SourceError> {
    let wrong = |problem: &str| SourceError::Spec(format!("blob store {root:?}: {problem}"));
    if let Some(path) = root.strip_prefix("file://") {
        let path = Some(Path::new(path)).filter(|path| path.is_absolute());
        let path = path.ok_or_else(|| wrong("expected file:///an/absolute/folder"))?;
        return BlobStore::local(path)
            .map_err(|e| SourceError::Broken { name: root.to_owned(), problem: e.to_string() });
    }
    let (url, prefix) = StoreUrl::split(root).map_err(|problem| wrong(&problem))?;
    if matches!(url.scheme, Scheme::Https | Scheme::Http) {
        return Err(wrong("nothing can be written there; expected file:///, s3://, gs:// or az://"));
    }
    let prefix = Key::parse(prefix.trim_end_matches('/')).map_err(|e| wrong(&e.to_string()))?;
    let section = StoreSection { environment: true, ..StoreSection::default() };
    let (objects, _) = credentials::store(&url, &section, &Purpose::blobs(root))?;
    Ok(BlobStore::remote(Arc::new(PrefixStore::new(objects, prefix)), root, scratch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_a_folder_or_a_bucket() {
        let scratch = tempfile::tempdir().expect("makes a folder");
        let folder = format!("file://{}", scratch.path().join("blobs").display());
        let opened = |root: &str| open(root, scratch.path());
        assert_eq!(opened(&folder).expect("opens").scratch(), scratch.path().join("blobs/.scratch"));
        assert_eq!(opened("s3://bucket/prefix/").expect("opens").scratch(), scratch.path());
        for (root, expected) in [
            ("/a/b", "expected a URL"),
            ("file://a", "file:///an/absolute/folder"),
            ("https://example.org/blobs", "nothing can be written there"),
            ("s3://me:secret@bucket", "user or password"),
            ("s3://bucket/a//b", "empty"),
            ("", "expected a URL"),
        ] {
            let error = opened(root).expect_err(root).to_string();
            assert!(error.contains(expected), "{root}: {error}");
        }
    }
}
