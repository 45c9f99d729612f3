//! One shard, from where the audit read it to the folder of those that are clean.
//!
//! It must never show a shard under its name before it is whole, checked and synced.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lethe_common::blob::Digest;
use lethe_common::pin::Pin;
use lethe_data::{Account, DataError, Limits, LocalFile, Meeting, Origin, Shard, filter};

use super::job::Job;
use super::read::{Failure, Opened, Reader, Stoppable, changed};
use super::record::{Content, Line};

const PIECE_BYTES: usize = 1 << 20;

pub struct Writer<'a> {
    pub reader: &'a Reader,
    pub folder: &'a Path,
}

/// What a copy came to.
struct Written {
    input: Content,
    output: Content,
    account: Account,
    missing: u64,
    problem: Option<String>,
}

impl Writer<'_> {
    /// Whether the file that a line tells of is there as it was written.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn is_whole(&self, job: &Job, line: &Line) -> anyhow::Result<bool> {
        let Ok(file) = File::open(self.folder.join(job.file()?)) else { return Ok(false) };
        if file.metadata()?.len() != line.output.bytes {
            return Ok(false);
        }
        let reader = Stoppable { reader: BufReader::new(file), stop: self.reader.stop.clone() };
        Ok(Digest::of_reader(reader)? == line.output.blake3)
    }

    /// # Errors
    /// [`Failure::Output`] where others would fail too.
    pub fn write(&self, job: &Job) -> Result<Line, Failure> {
        let file = job.file().map_err(|e| Failure::Shard(e.to_string()))?;
        let target = self.folder.join(file);
        let folder = target.parent().unwrap_or(self.folder);
        std::fs::create_dir_all(folder).map_err(|e| output(folder, &e))?;
        let (partial, fetched) = (hidden(&target, "partial"), hidden(&target, "fetched"));
        let written = self.write_to(job, (&partial, &fetched));
        remove(&fetched);
        let placed = written.and_then(|written| {
            std::fs::rename(&partial, &target).map_err(|e| output(&target, &e))?;
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| output(folder, &e))?;
            Ok(written)
        });
        if placed.is_err() {
            remove(&partial);
        }
        let Written { input, output, account, missing, problem } = placed?;
        let (shard, pin) = (job.name().to_owned(), job.entry.pin.clone());
        Ok(Line { shard, pin, input, output, listed: job.listed_digest(), account, missing, problem })
    }

    fn write_to(&self, job: &Job, (partial, fetched): (&Path, &Path)) -> Result<Written, Failure> {
        let opened = self.reader.open(job)?;
        if job.listed.is_empty() {
            let copied = copy(job, &opened, partial)?;
            let (account, problem) = self.account(job, partial)?;
            return Ok(Written { input: copied, output: copied, account, missing: 0, problem });
        }
        let (origin, input) = self.at_hand(job, opened, fetched)?;
        let mut sink = Sink::create(partial)?;
        let meeting = filter(&origin, (Limits::default(), &job.listed), &mut sink)?;
        let missing = self.reader.judge(job, &meeting)?;
        Ok(Written { input, output: sink.finish()?, account: meeting.account(), missing, problem: None })
    }

    /// A file here is read where it lies; what lies in a store comes here first, so that it is read once and hashed whole.
    fn at_hand(&self, job: &Job, opened: Opened, to: &Path) -> Result<(Arc<dyn Origin>, Content), Failure> {
        if let (Some(blake3), true) = (opened.digest, job.is_file()) {
            let bytes = opened.origin.size_bytes();
            return Ok((opened.origin, Content { bytes, blake3 }));
        }
        let content = copy(job, &opened, to)?;
        let file = LocalFile::open(to).map_err(|e| output(to, &e))?;
        Ok((self.reader.copy_of(job, Arc::new(file)), content))
    }

    /// The samples of a copy; a shard of which none can be read is kept as well, with the reason.
    fn account(&self, job: &Job, copy: &Path) -> Result<(Account, Option<String>), Failure> {
        let file = LocalFile::open(copy).map_err(|e| output(copy, &e))?;
        let shard = match Shard::open(self.reader.copy_of(job, Arc::new(file)), Limits::default()) {
            Ok(shard) => shard,
            Err(error @ (DataError::Layout { .. } | DataError::Unknown { .. })) => {
                return Ok((Account::default(), Some(error.to_string())));
            }
            Err(error) => return Err(error.into()),
        };
        let (ending, mut meeting) = (shard.ending(), Meeting::new(&job.listed));
        for outcome in shard {
            meeting.see(&outcome);
        }
        ending.whole().map_err(|e| Failure::Shard(format!("shard {}: {e}", job.path)))?;
        Ok((meeting.account(), None))
    }
}

/// All bytes of a shard, which must be those that the audit read.
fn copy(job: &Job, opened: &Opened, to: &Path) -> Result<Content, Failure> {
    let broken = |e: io::Error| Failure::Shard(format!("shard {}: {e}", job.path));
    let mut reader = opened.origin.stream().map_err(broken)?;
    let (mut sink, mut piece) = (Sink::create(to)?, vec![0; PIECE_BYTES]);
    loop {
        match reader.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => sink.write_all(&piece[..read]).map_err(|e| output(to, &e))?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(broken(e)),
        }
    }
    let content = sink.finish()?;
    let expected = match job.entry.pin {
        Pin::Digest(digest) => Some(digest),
        Pin::Etag(_) | Pin::Modified(_) => opened.digest,
    };
    if content.bytes != opened.origin.size_bytes() || expected.is_some_and(|expected| expected != content.blake3) {
        let problem = format!("{} bytes came, with BLAKE3 {}", content.bytes, content.blake3.to_hex());
        return Err(changed(job, &problem));
    }
    Ok(content)
}

/// A file that is hashed as it is written.
struct Sink {
    path: PathBuf,
    file: BufWriter<File>,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Sink {
    fn create(path: &Path) -> Result<Self, Failure> {
        let file = File::create(path).map_err(|e| output(path, &e))?;
        let file = BufWriter::with_capacity(PIECE_BYTES, file);
        Ok(Self { path: path.to_owned(), file, hasher: blake3::Hasher::new(), bytes: 0 })
    }

    /// Once it would outlive a power cut.
    fn finish(self) -> Result<Content, Failure> {
        let file = self.file.into_inner().map_err(|e| output(&self.path, e.error()))?;
        file.sync_all().map_err(|e| output(&self.path, &e))?;
        Ok(Content { bytes: self.bytes, blake3: Digest(*self.hasher.finalize().as_bytes()) })
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Beside a shard, and matched by none of the patterns that shards are.
fn hidden(target: &Path, ending: &str) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.{ending}"))
}

/// It may not be there.
fn remove(path: &Path) {
    std::fs::remove_file(path).ok();
}

fn output(path: &Path, error: &io::Error) -> Failure {
    Failure::Output(format!("{}: {error}; check the folder's rights and free space", path.display()))
}
