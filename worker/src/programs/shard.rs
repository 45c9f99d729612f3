//! One shard as batches of decoded pairs, read ahead of the torch thread, with the account of what could
//! not be read.
//!
//! It must never let a broken sample stop a shard; a shard that changed since the plan is another matter.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use lethe_common::blob::Digest;
use lethe_common::fault::Fault;
use lethe_common::spec::{Jpeg, Spec};
use lethe_data::{
    DataError, Decoded, Ending, JpegScale, Limits, Prefetch, Sample, Shard, Target, decode_shard, open_shard,
};
use lethe_evidence::artifacts::{BadSample, BadSamples, SampleCounts, ShardEntry};

use super::fault::fatal;
use super::{checkpoint, inputs};
use crate::executor::threads;
use crate::task::TaskContext;

/// Pictures that wait for the torch thread, at most, over all decoders.
const AHEAD: usize = 512;

type Read = Result<Sample, lethe_data::BadSample>;

/// Opens a shard whose bytes are still those that the plan pinned.
pub fn open(entry: &ShardEntry) -> Result<Shard, Fault> {
    let path = Path::new(&entry.path);
    let found = digest(path).map_err(|e| Fault::retryable(format!("cannot read shard {}: {e}", entry.path)))?;
    if found != entry.digest {
        return Err(Fault::bad_shard(format!(
            "shard {} changed since the audit was planned: its digest was {:?} and is {found:?}; submit a new audit",
            entry.path, entry.digest
        )));
    }
    open_shard(path, Limits::default()).map_err(unusable)
}

fn unusable(error: DataError) -> Fault {
    let message = error.to_string();
    match error {
        DataError::Layout { .. } | DataError::Unknown { .. } => Fault::bad_shard(message),
        DataError::Open { .. } | DataError::Broken { .. } => Fault::retryable(message),
        DataError::Pattern { .. }
        | DataError::Missing { .. }
        | DataError::NoShards
        | DataError::Image { .. }
        | DataError::Unwritable { .. }
        | DataError::Write(_) => Fault::fatal(message),
    }
}

/// What was made of a shard whose bytes stopped coming is of no use: it is read again.
pub fn whole(ending: &Ending) -> Result<(), Fault> {
    ending.whole().map_err(|reason| Fault::retryable(format!("reading the shard broke off: {reason}")))
}

fn digest(path: &Path) -> std::io::Result<Digest> {
    Digest::of_reader(File::open(path)?)
}

/// The decoded pairs of a shard, `batch` at a time, in the shard's order.
pub struct Batches {
    pairs: Prefetch,
    batch: usize,
    pub counts: SampleCounts,
    pub bad: BadSamples,
    /// How long whoever asked for a batch waited for its pictures.
    pub waited: Duration,
}

/// The samples that `keep` wants, decoded ahead of whoever takes them; the others are read over.
pub fn decoded(
    entry: &ShardEntry,
    target: Target,
    keep: impl Fn(&Sample) -> bool + Send + 'static,
) -> Result<Prefetch, Fault> {
    let wanted = move |read: &Read| read.as_ref().map_or(true, &keep);
    let shard = open(entry)?;
    let ending = shard.ending();
    let decoders = threads::decoders().map_err(fatal)?;
    Ok(decode_shard(shard.filter(wanted), target, decoders, (AHEAD / decoders).max(1)).with_ending(ending))
}

/// The whole shard of a task that is about to run, decoded to the model's side.
pub fn open_own(ctx: &TaskContext<'_>) -> Result<Prefetch, Fault> {
    let (_, entry) = inputs::shard_entry(ctx, ctx.task.shard)?;
    decoded(&entry, target(&ctx.spec)?, |_| true)
}

/// What the audit's pictures become.
pub fn target(spec: &Spec) -> Result<Target, Fault> {
    let jpeg = match spec.data.jpeg {
        Jpeg::Exact => JpegScale::Exact,
        Jpeg::Reduced => JpegScale::Reduced,
    };
    Ok(Target { side: u32::try_from(checkpoint::config(spec)?.vision.image_size).map_err(fatal)?, jpeg })
}

impl Batches {
    pub fn of(pairs: Prefetch, batch: usize) -> Self {
        let (counts, bad) = (SampleCounts::default(), BadSamples::default());
        Self { pairs, batch, counts, bad, waited: Duration::ZERO }
    }

    /// Of the task's own shard, which may be open already.
    pub fn of_own(ctx: &TaskContext<'_>, batch: usize) -> Result<Self, Fault> {
        Ok(Self::of(ctx.opened.take().map_or_else(|| open_own(ctx), Ok)?, batch))
    }

    /// To be asked after the last batch, before anything is made of them.
    pub fn whole(&self) -> Result<(), Fault> {
        whole(self.pairs.ending())
    }
}

impl Iterator for Batches {
    type Item = Vec<Decoded>;

    fn next(&mut self) -> Option<Vec<Decoded>> {
        let asked = Instant::now();
        let mut batch = Vec::with_capacity(self.batch);
        while batch.len() < self.batch {
            let Some(pair) = self.pairs.next() else { break };
            self.counts.read += 1;
            match pair {
                Ok(pair) => {
                    self.counts.scored += 1;
                    batch.push(pair);
                }
                Err(bad) => {
                    self.counts.failed += 1;
                    self.bad.push(BadSample { key: bad.key, reason: bad.reason });
                }
            }
        }
        self.waited += asked.elapsed();
        (!batch.is_empty()).then_some(batch)
    }
}

#[cfg(test)]
mod tests {
    use lethe_common::fault::FaultKind;

    use super::*;

    #[test]
    fn a_shard_that_changed_since_the_plan_is_at_fault_itself() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let path = folder.path().join("0.tar");
        std::fs::write(&path, "as planned").expect("is ours");
        let digest = digest(&path).expect("reads");
        let path_text = path.to_str().expect("is text").to_owned();
        let entry = ShardEntry { id: 0, name: "0.tar".to_owned(), path: path_text, digest, size_bytes: 10 };
        std::fs::write(&path, "replaced").expect("is ours");
        let changed = open(&entry).err().expect("is refused");
        assert_eq!(changed.kind, FaultKind::BadShard, "{changed}");
        assert!(changed.message.contains("0.tar changed since the audit was planned"), "{changed}");
        std::fs::remove_file(&path).expect("is ours");
        assert_eq!(open(&entry).err().expect("is gone").kind, FaultKind::Retryable);
    }
}
