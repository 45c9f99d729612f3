//! Opens a shard of the audit, whatever it lies on now, and judges whether its listed samples were in it.
//!
//! It must never give bytes of another shard than the audit's as far as that can be known.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use lethe_common::blob::Digest;
use lethe_common::pin::Pin;
use lethe_data::{DataError, Location, Meeting, Origin, Pending};
use lethe_source::{Pinned, Source, SourceError};

use super::crew::Stop;
use super::job::Job;

/// Of what is wrong with one shard.
const SHOWN_KEYS: usize = 5;

pub struct Reader {
    pub source: Source,
    pub stop: Stop,
    pub allow_missing: bool,
}

/// A shard that can be read.
pub struct Opened {
    pub origin: Arc<dyn Origin>,
    /// Of all its bytes, where they were read to pin it.
    pub digest: Option<Digest>,
}

/// Why a shard could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It alone; others may be well.
    #[error("{0}")]
    Shard(String),
    /// Where it is written to; others would meet the same.
    #[error("{0}")]
    Output(String),
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Self::Shard(error.to_string())
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        match error {
            DataError::Write(_) => Self::Output(error.to_string()),
            DataError::Open { .. }
            | DataError::Unknown { .. }
            | DataError::Layout { .. }
            | DataError::Broken { .. }
            | DataError::Image { .. }
            | DataError::Unwritable { .. } => Self::Shard(error.to_string()),
        }
    }
}

impl Reader {
    /// # Errors
    /// A shard that is not there, or changed since the audit.
    pub fn open(&self, job: &Job) -> Result<Opened, Failure> {
        let (pin, size_bytes) = (&job.entry.pin, job.entry.size_bytes);
        let pinned = match (pin, job.is_file()) {
            (Pin::Digest(_), true) | (Pin::Etag(_) | Pin::Modified(_), false) => {
                Pinned { pin: pin.clone(), size_bytes }
            }
            // It was moved to another kind of place: what is there now is pinned, and what can be compared is.
            (Pin::Digest(_), false) | (Pin::Etag(_) | Pin::Modified(_), true) => {
                let now = self.source.pin(&job.path)?;
                if now.size_bytes != size_bytes {
                    return Err(changed(job, &format!("it had {size_bytes} bytes and has {}", now.size_bytes)));
                }
                now
            }
        };
        let digest = match &pinned.pin {
            Pin::Digest(digest) => Some(*digest),
            Pin::Etag(_) | Pin::Modified(_) => None,
        };
        let origin = self.source.open(&job.path, &pinned)?;
        let origin = Watched { origin, name: job.path.clone(), stop: self.stop.clone() };
        Ok(Opened { origin: Arc::new(origin), digest })
    }

    /// Under a shard's own name, which tells its format: a copy of it is called otherwise.
    pub fn copy_of(&self, job: &Job, origin: Arc<dyn Origin>) -> Arc<dyn Origin> {
        Arc::new(Watched { origin, name: job.path.clone(), stop: self.stop.clone() })
    }

    /// How many of the listed samples the shard does not have.
    ///
    /// # Errors
    /// Any, unless that is allowed; a sample of another content in any case.
    pub fn judge(&self, job: &Job, meeting: &Meeting<'_>) -> Result<u64, Failure> {
        if let Some((key, found)) = meeting.differing().first_key_value() {
            let expected = job.listed.get(*key).cloned().flatten().unwrap_or_default();
            let problem = format!("sample {key:?} has the content hash {found}, and {expected} on the drop list");
            return Err(changed(job, &problem));
        }
        let missing = meeting.missing();
        if missing.is_empty() || self.allow_missing {
            return Ok(missing.len() as u64);
        }
        let shown = missing[..missing.len().min(SHOWN_KEYS)].join(", ");
        Err(Failure::Shard(format!(
            "shard {}: {} samples of the drop list are not in it, the first: {shown}; audit these shards again, or take \
             the list of the audit that they are of; --allow-missing goes on without them",
            job.path,
            missing.len()
        )))
    }
}

pub fn changed(job: &Job, problem: &str) -> Failure {
    Failure::Shard(format!(
        "shard {} changed since the audit: {problem}; audit it again, or give the unchanged one with --shards",
        job.path
    ))
}

/// A shard whose bytes stop coming once somebody stops the command.
struct Watched {
    origin: Arc<dyn Origin>,
    name: String,
    stop: Stop,
}

impl Origin for Watched {
    fn name(&self) -> &str {
        &self.name
    }

    fn size_bytes(&self) -> u64 {
        self.origin.size_bytes()
    }

    fn stream(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(Stoppable { reader: self.origin.stream()?, stop: self.stop.clone() }))
    }

    fn range(&self, start: u64, length: usize) -> io::Result<Bytes> {
        self.stop.check()?;
        self.origin.range(start, length)
    }

    fn picture(&self, location: &Location, limit_bytes: u64) -> Pending {
        self.origin.picture(location, limit_bytes)
    }
}

pub struct Stoppable<R> {
    pub reader: R,
    pub stop: Stop,
}

impl<R: Read> Read for Stoppable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stop.check()?;
        self.reader.read(buffer)
    }
}
