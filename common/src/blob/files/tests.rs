use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use async_trait::async_trait;
use object_store::memory::InMemory;
use object_store::path::Path as At;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutResult,
};
use tempfile::TempDir;

use super::*;

fn store() -> (BlobStore, TempDir) {
    let folder = tempfile::tempdir().expect("makes a folder");
    (BlobStore::local(&folder.path().join("blobs")).expect("opens"), folder)
}

fn file(folder: &TempDir, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join("file");
    std::fs::write(&path, bytes).expect("writes");
    path
}

/// More than two parts, and no whole number of them, nor of pieces.
fn long() -> Vec<u8> {
    (0..2 * PART_BYTES + 4321).map(|n| (n % 251) as u8).collect()
}

/// Takes no more than a part at once, as a real one takes no more than 5 GiB.
#[derive(Debug, Default)]
struct Narrow(InMemory);

impl std::fmt::Display for Narrow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Narrow {
    async fn put_opts(&self, at: &At, bytes: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        assert!(bytes.content_length() <= PART_BYTES, "{} bytes at once", bytes.content_length());
        self.0.put_opts(at, bytes, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &At,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &At, options: GetOptions) -> object_store::Result<GetResult> {
        self.0.get_opts(at, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<At>>,
    ) -> BoxStream<'static, object_store::Result<At>> {
        self.0.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&At>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&At>) -> object_store::Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &At, to: &At, options: CopyOptions) -> object_store::Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

#[tokio::test]
async fn more_than_a_part_goes_in_parts_to_a_folder_and_to_a_store() {
    let (local, folder) = store();
    let remote = BlobStore::remote(Arc::new(Narrow::default()), "narrow", folder.path());
    for store in [local, remote] {
        for bytes in [long(), vec![7; PART_BYTES], vec![7; PART_BYTES + 1]] {
            let blob = store.put("a/model", bytes.clone().into()).await.expect("writes");
            assert_eq!((blob.size_bytes, blob.digest), (bytes.len() as u64, Digest::of(&bytes)));
            assert!(store.get(&blob).await.expect("reads") == bytes, "other bytes come back");
        }
    }
    assert_eq!(left(&folder.path().join("blobs/a")), ["model"]);
}

#[tokio::test]
async fn a_file_becomes_the_blob_its_bytes_would_and_comes_back() {
    let (store, folder) = store();
    for (name, bytes) in
        [("long", long()), ("piece", vec![7; PIECE_BYTES]), ("part", vec![7; PART_BYTES]), ("empty", Vec::new())]
    {
        let blob = store.put_file(&format!("a/{name}"), &file(&folder, &bytes)).await.expect("writes");
        assert_eq!((blob.size_bytes, blob.digest), (bytes.len() as u64, Digest::of(&bytes)), "{name}");
        assert_eq!(store.get(&blob).await.expect("reads"), bytes, "{name}");
        let back = folder.path().join("back");
        store.get_file(&blob, &back).await.expect("comes back");
        assert_eq!(std::fs::read(&back).expect("reads"), bytes, "{name}");
    }
}

#[tokio::test]
async fn a_missing_file_is_named_and_leaves_nothing() {
    let (store, folder) = store();
    let error = store.put_file("a/x", &folder.path().join("missing")).await.expect_err("is not there");
    assert!(matches!(error, BlobError::Access { .. }) && error.to_string().contains("missing"), "{error}");
    assert_eq!(left(&folder.path().join("blobs/a")), [""; 0]);
}

#[tokio::test]
async fn a_damaged_blob_makes_no_file() {
    let (store, folder) = store();
    let blob = store.put("a/x", "bytes".into()).await.expect("writes");
    let to = folder.path().join("back");
    for damage in ["bytez", "byte", "bytes!"] {
        std::fs::write(folder.path().join("blobs/a/x"), damage).expect("damages");
        let error = store.get_file(&blob, &to).await.expect_err("is damaged");
        assert!(matches!(error, BlobError::Damaged { .. }), "{error}");
        assert!(!to.exists());
    }
}

#[tokio::test]
async fn a_check_reads_only_as_much_as_it_may() {
    let (store, folder) = store();
    let blob = store.put("a/x", "bytes".into()).await.expect("writes");
    assert!(store.verify(&blob, 5).await.is_ok() && store.verify(&blob, 4).await.is_ok());

    let path = folder.path().join("blobs/a/x");
    std::fs::write(&path, "bytez").expect("damages");
    let error = store.verify(&blob, 5).await.expect_err("its digest differs").to_string();
    assert!(error.contains("a/x is damaged") && error.contains(&Digest::of(b"bytez").to_hex()), "{error}");
    assert!(store.verify(&blob, 4).await.is_ok(), "four bytes allow no digest");

    std::fs::write(&path, "byte").expect("damages");
    let error = store.verify(&blob, 0).await.expect_err("its size differs").to_string();
    assert!(error.contains("a/x is damaged: expected 5 bytes") && error.ends_with("found 4 bytes"), "{error}");

    std::fs::remove_file(&path).expect("removes");
    let error = store.verify(&blob, 0).await.expect_err("is gone");
    assert!(matches!(error, BlobError::Access { .. }) && error.to_string().contains("a/x"), "{error}");
}

#[tokio::test]
async fn an_upload_that_fails_at_its_end_leaves_nothing() {
    let (store, folder) = store();
    let target = folder.path().join("blobs/a/x");
    std::fs::create_dir_all(target.join("a folder cannot be replaced")).expect("makes");
    for outcome in [store.put_file("a/x", &file(&folder, b"bytes")).await, store.put("a/x", "bytes".into()).await] {
        assert!(matches!(outcome, Err(BlobError::Access { .. })), "{outcome:?}");
        assert_eq!(left(&folder.path().join("blobs/a")), ["x"]);
    }
}

/// A disk of 64 KiB, unmounted when it goes.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().expect("makes a folder");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(folder.path()).output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg(self.0.path()).status().ok();
    }
}

#[tokio::test]
#[ignore = "needs the right to mount a small disk"]
async fn a_full_disk_leaves_no_half_blob() {
    let disk = SmallDisk::mount().expect("mounts, which takes root");
    let store = BlobStore::local(disk.0.path()).expect("opens");
    let folder = tempfile::tempdir().expect("makes a folder");
    let small = store.put("a/small", vec![1; 1_000].into()).await.expect("fits");
    for outcome in
        [store.put("a/x", vec![7; 1 << 20].into()).await, store.put_file("a/x", &file(&folder, &[7; 1 << 20])).await]
    {
        let Err(error @ BlobError::Access { .. }) = outcome else { panic!("{outcome:?}") };
        assert!(format!("{error:?}").contains("StorageFull"), "{error:?}");
        assert_eq!(left(&disk.0.path().join("a")), ["small"]);
    }
    store.get(&small).await.expect("is whole");
    store.put("a/again", vec![1; 1_000].into()).await.expect("there is room once more");
}

fn left(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("lists");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("lists").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
