//! Blobs to and from files on disk, a piece at a time, and the check that one is still whole.
//!
//! It must never hold more of a blob that lies in a file in memory than one part.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};

use super::{BlobError, BlobRef, BlobStore, Digest};

/// What is in memory at once of a blob that is read.
const PIECE_BYTES: usize = 8 << 20;
/// An upload's parts, which object stores want equal and of 5 MiB or more. They take 10,000 of them: 312 GiB.
pub(super) const PART_BYTES: usize = 32 << 20;

impl BlobStore {
    /// Writes a file's bytes under a path nobody else writes, as durably as [`put`](Self::put), and whole or not at
    /// all.
    pub async fn put_file(&self, path: &str, file: &Path) -> Result<BlobRef, BlobError> {
        let mut upload = self.begin(path).await?;
        let sent = send_file(upload.as_mut(), path, file).await;
        self.end(upload, path, sent).await
    }

    /// The same of bytes in memory: object stores take 5 GiB at once at most.
    pub(super) async fn put_in_parts(&self, path: &str, bytes: Bytes) -> Result<(), BlobError> {
        let mut upload = self.begin(path).await?;
        let sent = send_bytes(upload.as_mut(), path, bytes).await;
        self.end(upload, path, sent).await
    }

    async fn begin(&self, path: &str) -> Result<Box<dyn MultipartUpload>, BlobError> {
        let upload = self.inner.put_multipart(&object_store::path::Path::from(path)).await;
        upload.map_err(|source| BlobError::Access { path: path.to_owned(), source })
    }

    /// Makes a blob of what was sent, or leaves nothing of it.
    async fn end<T>(
        &self,
        mut upload: Box<dyn MultipartUpload>,
        path: &str,
        sent: Result<T, BlobError>,
    ) -> Result<T, BlobError> {
        let written = match sent {
            Ok(sent) => {
                let completed = upload.complete().await.map(|_| sent);
                completed.map_err(|source| BlobError::Access { path: path.to_owned(), source })
            }
            Err(error) => {
                upload.abort().await.ok(); // what went wrong first is what is told
                Err(error)
            }
        };
        if written.is_err() {
            self.remove_half_written(path).await;
        }
        written
    }

    /// Writes a blob's bytes to a file, checks their size and digest, and syncs it. On an error there is no file.
    pub async fn get_file(&self, blob: &BlobRef, to: &Path) -> Result<(), BlobError> {
        let written = self.download(blob, to).await;
        if written.is_err() {
            std::fs::remove_file(to).ok(); // it may not be there
        }
        written
    }

    async fn download(&self, blob: &BlobRef, to: &Path) -> Result<(), BlobError> {
        let local = |error| file_error(&blob.path, to, error);
        let file = self.read(blob, File::create(to).map_err(local)?).await?;
        blocking(move || file.sync_all()).await.map_err(local)
    }

    /// Checks that a blob is there and has its size; where it has at most so many bytes it is read too, and its
    /// digest checked.
    pub async fn verify(&self, blob: &BlobRef, up_to_bytes: u64) -> Result<(), BlobError> {
        if blob.size_bytes <= up_to_bytes {
            return self.read(blob, io::sink()).await.map(drop);
        }
        self.check_size(blob).await
    }

    async fn check_size(&self, blob: &BlobRef) -> Result<(), BlobError> {
        let at = object_store::path::Path::from(blob.path.as_str());
        let meta = self.inner.head(&at).await;
        let meta = meta.map_err(|source| BlobError::Access { path: blob.path.clone(), source })?;
        if meta.size == blob.size_bytes { Ok(()) } else { Err(blob.damaged(meta.size, None)) }
    }

    /// A verified blob, a piece at a time, into whatever takes it.
    async fn read<W: Write + Send + 'static>(&self, blob: &BlobRef, sink: W) -> Result<W, BlobError> {
        self.check_size(blob).await?;
        let at = object_store::path::Path::from(blob.path.as_str());
        let access = |source| BlobError::Access { path: blob.path.clone(), source };
        let mut hashing = Hashing { inner: sink, hasher: blake3::Hasher::new() };
        for start in (0..blob.size_bytes).step_by(PIECE_BYTES) {
            let end = blob.size_bytes.min(start + PIECE_BYTES as u64);
            let piece = self.inner.get_range(&at, start..end).await.map_err(access)?;
            let taken = blocking(move || hashing.write_all(&piece).map(|()| hashing)).await;
            hashing = taken.map_err(|error| access(generic(error)))?;
        }
        let found = hashing.digest();
        if found == blob.digest { Ok(hashing.inner) } else { Err(blob.damaged(blob.size_bytes, Some(found))) }
    }

    /// A blob's bytes in order, a piece at a time. The last item is an error where they are not those that were written.
    pub fn pieces(&self, blob: BlobRef) -> BoxStream<'static, Result<Bytes, BlobError>> {
        let begin = Pieces { store: self.clone(), blob, hasher: blake3::Hasher::new(), start: 0 };
        stream::try_unfold(begin, Pieces::next).boxed()
    }

    /// What an upload that failed at its very end leaves beside its path. An object store shows no such thing.
    async fn remove_half_written(&self, path: &str) {
        let Some(folder) = &self.folder else { return };
        let at = folder.join(path);
        let removed = blocking(move || {
            let (Some(folder), Some(name)) = (at.parent(), at.file_name()) else { return Ok(()) };
            let begin = format!("{}#", name.to_string_lossy());
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                if entry.file_name().to_string_lossy().starts_with(&begin) {
                    std::fs::remove_file(entry.path())?;
                }
            }
            Ok(())
        });
        removed.await.ok(); // the failure that led here is what is told, and `tidy` comes by later
    }
}

/// A blob that is being read.
struct Pieces {
    store: BlobStore,
    blob: BlobRef,
    hasher: blake3::Hasher,
    start: u64,
}

impl Pieces {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, BlobError> {
        if self.start == 0 {
            self.store.check_size(&self.blob).await?;
        }
        if self.start == self.blob.size_bytes {
            let found = Digest(*self.hasher.finalize().as_bytes());
            let whole = found == self.blob.digest;
            return if whole { Ok(None) } else { Err(self.blob.damaged(self.blob.size_bytes, Some(found))) };
        }
        let at = object_store::path::Path::from(self.blob.path.as_str());
        let end = self.blob.size_bytes.min(self.start + PIECE_BYTES as u64);
        let piece = self.store.inner.get_range(&at, self.start..end).await;
        let piece = piece.map_err(|source| BlobError::Access { path: self.blob.path.clone(), source })?;
        self.hasher.update(&piece);
        self.start = end;
        Ok(Some((piece, self)))
    }
}

async fn send_bytes(upload: &mut dyn MultipartUpload, path: &str, mut bytes: Bytes) -> Result<(), BlobError> {
    while !bytes.is_empty() {
        let part = bytes.split_to(bytes.len().min(PART_BYTES));
        let sent = upload.put_part(PutPayload::from_bytes(part)).await;
        sent.map_err(|source| BlobError::Access { path: path.to_owned(), source })?;
    }
    Ok(())
}

async fn send_file(upload: &mut dyn MultipartUpload, path: &str, from: &Path) -> Result<BlobRef, BlobError> {
    let local = |error| file_error(path, from, error);
    let mut hashing = Hashing { inner: File::open(from).map_err(local)?, hasher: blake3::Hasher::new() };
    let mut size_bytes = 0;
    loop {
        let (part, rest) = blocking(move || hashing.next_part().map(|part| (part, hashing))).await.map_err(local)?;
        hashing = rest;
        if part.is_empty() {
            return Ok(BlobRef { path: path.to_owned(), size_bytes, digest: hashing.digest() });
        }
        size_bytes += part.len() as u64;
        let sent = upload.put_part(PutPayload::from_bytes(part)).await;
        sent.map_err(|source| BlobError::Access { path: path.to_owned(), source })?;
    }
}

/// A reader or a writer, and the digest of all that went through it.
struct Hashing<T> {
    inner: T,
    hasher: blake3::Hasher,
}

impl<T> Hashing<T> {
    fn digest(&self) -> Digest {
        Digest(*self.hasher.finalize().as_bytes())
    }
}

impl<R: Read> Hashing<R> {
    /// The next full part; the last is shorter, and after it comes an empty one.
    fn next_part(&mut self) -> io::Result<Bytes> {
        let mut part = Vec::new();
        self.inner.by_ref().take(PART_BYTES as u64).read_to_end(&mut part)?;
        self.hasher.update(&part);
        Ok(part.into())
    }
}

impl<W: Write> Hashing<W> {
    fn write_all(&mut self, piece: &[u8]) -> io::Result<()> {
        self.hasher.update(piece);
        self.inner.write_all(piece)
    }
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

pub(super) fn generic(error: io::Error) -> object_store::Error {
    object_store::Error::Generic { store: "folder", source: Box::new(error) }
}

/// The file is named beside the blob: it may lie on another disk.
fn file_error(path: &str, file: &Path, error: io::Error) -> BlobError {
    let error = io::Error::new(error.kind(), format!("{}: {error}", file.display()));
    BlobError::Access { path: path.to_owned(), source: generic(error) }
}

#[cfg(test)]
mod tests;
