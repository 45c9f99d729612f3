//! One shard as batches of decoded pairs, read ahead of the torch thread, with the account of what could
//! not be read.
//!
//! It must never let a broken sample stop a shard; a shard that changed since the plan is another matter.

use std::time::{Duration, Instant};

use lethe_common::fault::Fault;
use lethe_common::spec::{Jpeg, Spec};
use lethe_data::{DataError, Decoded, Ending, JpegScale, Limits, Prefetch, Sample, Shard, Target, decode_shard};
use lethe_evidence::artifacts::{BadSample, BadSamples, SampleCounts, ShardEntry};
use lethe_evidence::{PairRole, PairRow};
use lethe_source::{Pinned, Source};

use super::fault::fatal;
use super::{checkpoint, inputs};
use crate::executor::threads;
use crate::task::TaskContext;

/// Pictures that wait for the torch thread, at most, over all decoders.
const AHEAD: usize = 512;

/// A decoded pair that nobody suspects.
pub fn safe_row(shard: u32, pair: Decoded) -> PairRow {
    PairRow {
        shard,
        key: pair.key,
        content: pair.content,
        caption: pair.caption,
        role: PairRole::Safe,
        pixels: pair.pixels,
        values: Vec::new(),
    }
}

type Read = Result<Sample, lethe_data::BadSample>;

/// Opens a shard whose bytes are still those that the plan pinned.
pub fn open(source: &Source, entry: &ShardEntry) -> Result<Shard, Fault> {
    let pinned = Pinned { pin: entry.pin.clone(), size_bytes: entry.size_bytes };
    let origin = source.open(&entry.path, &pinned).map_err(|e| e.fault())?;
    Shard::open(origin, Limits::default()).map_err(unusable)
}

/// What the audit may read from.
pub fn source(spec: &Spec) -> Result<Source, Fault> {
    Source::of(&spec.data).map_err(|e| e.fault())
}

fn unusable(error: DataError) -> Fault {
    let message = error.to_string();
    match error {
        DataError::Layout { .. } | DataError::Unknown { .. } => Fault::bad_shard(message),
        DataError::Open { .. } | DataError::Broken { .. } => Fault::retryable(message),
        DataError::Image { .. } | DataError::Unwritable { .. } | DataError::Write(_) => Fault::fatal(message),
    }
}

/// What was made of a shard whose bytes stopped coming is of no use: it is read again.
pub fn whole(ending: &Ending) -> Result<(), Fault> {
    ending.whole().map_err(|reason| Fault::retryable(format!("reading the shard broke off: {reason}")))
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
    (source, entry): (&Source, &ShardEntry),
    target: Target,
    keep: impl Fn(&Sample) -> bool + Send + 'static,
) -> Result<Prefetch, Fault> {
    let wanted = move |read: &Read| read.as_ref().map_or(true, &keep);
    let shard = open(source, entry)?;
    let ending = shard.ending();
    let decoders = threads::decoders().map_err(fatal)?;
    Ok(decode_shard(shard.filter(wanted), target, decoders, (AHEAD / decoders).max(1)).with_ending(ending))
}

/// The whole shard of a task that is about to run, decoded to the model's side.
pub fn open_own(ctx: &TaskContext<'_>) -> Result<Prefetch, Fault> {
    own(ctx, |_| true)
}

/// Of the task's own shard the samples that `keep` wants, decoded to the model's side.
pub fn own(ctx: &TaskContext<'_>, keep: impl Fn(&Sample) -> bool + Send + 'static) -> Result<Prefetch, Fault> {
    let (_, entry) = inputs::shard_entry(ctx, ctx.task.shard)?;
    decoded((&source(&ctx.spec)?, &entry), target(&ctx.spec)?, keep)
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
    use lethe_data::ShardWriter;

    use super::*;
    use crate::task::plain_spec;

    fn entry(folder: &std::path::Path, name: &str, bytes: &[u8]) -> ShardEntry {
        let path = folder.join(name).to_str().expect("is text").to_owned();
        std::fs::write(&path, bytes).expect("is ours");
        let Pinned { pin, size_bytes } = source(&plain_spec(1)).expect("needs no store").pin(&path).expect("reads");
        ShardEntry { id: 0, name: name.to_owned(), path, size_bytes, pin }
    }

    fn opened(entry: &ShardEntry) -> Result<Shard, Fault> {
        open(&source(&plain_spec(1))?, entry)
    }

    #[test]
    fn a_shard_that_changed_since_the_plan_is_at_fault_itself() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let entry = entry(folder.path(), "0.tar", b"as planned");
        std::fs::write(&entry.path, "replaced").expect("is ours");
        let changed = opened(&entry).err().expect("is refused");
        assert_eq!(changed.kind, FaultKind::BadShard, "{changed}");
        assert!(changed.message.contains("0.tar changed since the audit was planned"), "{changed}");
        std::fs::remove_file(&entry.path).expect("is ours");
        assert_eq!(opened(&entry).err().expect("is gone").kind, FaultKind::Retryable);
    }

    #[test]
    fn a_shard_that_is_of_no_use_is_at_fault_and_one_that_breaks_off_is_not() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let other = entry(folder.path(), "0.csv", b"picture,label\n1,2\n");
        let refused = opened(&other).err().expect("has other columns");
        assert!(refused.kind == FaultKind::BadShard && refused.message.contains("picture, label"), "{refused}");
        let mut writer = ShardWriter::new(Vec::new());
        writer.append("0", &[7; 5 << 20], "jpg", "a caption").expect("writes");
        let whole = entry(folder.path(), "1.tar", &writer.finish().expect("ends"));
        let shard = opened(&whole).expect("opens");
        let ending = shard.ending();
        // Cut while it is read: what was made of it must not count.
        let file = std::fs::File::options().write(true).open(&whole.path).expect("is ours");
        file.set_len(3 << 20).expect("is cut");
        let mut batches = Batches::of(decode_shard(shard, Target::exact(8), 1, 1).with_ending(ending), 2);
        assert_eq!(batches.by_ref().count(), 0);
        let broken = batches.whole().expect_err("broke off");
        assert!(broken.kind == FaultKind::Retryable && broken.message.contains("bytes ended"), "{broken}");
    }
}
