//! What became of the shards of one map phase, and in which segments that is stored.
//!
//! It must never change the fate of a shard: the first is the last.

use std::sync::Arc;

use lethe_common::blob::NamedBlob;
use lethe_common::ids::{Attempt, AuditId, PhaseIndex, ShardId};

use crate::event::Counts;
use crate::record::{Fate, SegmentRecord, ShardResult, StoredBlob};

/// A segment of so many bytes is not written again by a later step: rewriting small ones keeps the records of
/// a slow phase few, and sealing larger ones keeps the bytes written for a shard few.
const SEALED_BYTES: usize = 1 << 10;
/// A segment never grows beyond this within one step, so that a batch of them fits the store's limits.
const MAX_SEGMENT_BYTES: usize = 8 << 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Results {
    /// The audit that computed them, whose folder their blobs lie in.
    pub owner: AuditId,
    pub phase: PhaseIndex,
    fates: Vec<Option<Box<Fate>>>,
    segments: Vec<Segment>,
    /// Each output name once.
    names: Vec<Arc<str>>,
    pub done: u64,
    pub quarantined: u64,
    pub counts: Counts,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Segment {
    shards: Vec<ShardId>,
    bytes: usize,
}

impl Results {
    pub fn new(owner: AuditId, phase: PhaseIndex) -> Self {
        let (fates, segments, names) = (Vec::new(), Vec::new(), Vec::new());
        Self { owner, phase, fates, segments, names, done: 0, quarantined: 0, counts: Counts::default() }
    }

    pub fn fate(&self, shard: ShardId) -> Option<&Fate> {
        self.fates.get(shard.0 as usize)?.as_deref()
    }

    pub fn result(&self, shard: ShardId) -> Option<&ShardResult> {
        match self.fate(shard)? {
            Fate::Done(result) => Some(result),
            Fate::Quarantined { .. } => None,
        }
    }

    /// In ascending order of shard.
    pub fn fates(&self) -> impl Iterator<Item = (ShardId, &Fate)> {
        (0..).map(ShardId).zip(&self.fates).filter_map(|(shard, fate)| Some((shard, fate.as_deref()?)))
    }

    pub fn is_quarantined(&self, shard: ShardId) -> bool {
        matches!(self.fate(shard), Some(Fate::Quarantined { .. }))
    }

    /// A result whose names are shared with the others'.
    pub fn pack(&mut self, attempt: Attempt, outputs: &[NamedBlob], counts: Counts) -> ShardResult {
        let stored = |output: &NamedBlob| {
            let (name, blob) = (self.intern(&output.name), &output.blob);
            StoredBlob { name, size_bytes: blob.size_bytes, digest: blob.digest }
        };
        ShardResult { attempt, outputs: outputs.iter().map(stored).collect(), counts }
    }

    fn intern(&mut self, name: &str) -> Arc<str> {
        match self.names.iter().find(|known| &***known == name) {
            Some(known) => known.clone(),
            None => {
                let name: Arc<str> = Arc::from(name);
                self.names.push(name.clone());
                name
            }
        }
    }

    /// Ends a shard that has no end yet. Gives the segment to store: the last one where it still grows, which
    /// `is_open` tells of one that is being written anyway.
    pub fn end(&mut self, shard: ShardId, fate: Fate, is_open: impl Fn(u32) -> bool) -> u32 {
        let last = self.segments.len() as u32;
        let grows = self.segments.last().is_some_and(|segment| {
            segment.bytes < SEALED_BYTES || (segment.bytes < MAX_SEGMENT_BYTES && is_open(last - 1))
        });
        let segment = if grows { last - 1 } else { last };
        self.put(segment, shard, fate);
        segment
    }

    /// Places what a store holds.
    ///
    /// # Errors
    /// The shard that has an end already, or lies beyond the limit.
    pub fn load(&mut self, segment: u32, record: SegmentRecord) -> Result<(), ShardId> {
        for (shard, fate) in record.entries {
            if self.fate(shard).is_some() || shard.0 >= crate::outline::MAX_SHARDS {
                return Err(shard);
            }
            let fate = self.interned(fate);
            self.put(segment, shard, fate);
        }
        Ok(())
    }

    fn interned(&mut self, fate: Fate) -> Fate {
        match fate {
            Fate::Done(mut result) => {
                result.outputs.iter_mut().for_each(|output| output.name = self.intern(&output.name.clone()));
                Fate::Done(result)
            }
            Fate::Quarantined { .. } => fate,
        }
    }

    fn put(&mut self, segment: u32, shard: ShardId, fate: Fate) {
        match &fate {
            Fate::Done(result) => {
                self.done += 1;
                self.counts = self.counts.plus(result.counts);
            }
            Fate::Quarantined { .. } => self.quarantined += 1,
        }
        let (segment, shards) = (segment as usize, shard.0 as usize + 1);
        if self.segments.len() <= segment {
            self.segments.resize_with(segment + 1, Segment::default);
        }
        if self.fates.len() < shards {
            self.fates.resize_with(shards, || None);
        }
        self.segments[segment].shards.push(shard);
        self.segments[segment].bytes += size_bytes(&fate);
        self.fates[shard.0 as usize] = Some(Box::new(fate));
    }

    pub fn segments(&self) -> u32 {
        self.segments.len() as u32
    }

    pub fn segment(&self, segment: u32) -> SegmentRecord {
        let shards = &self.segments[segment as usize].shards;
        let entry = |shard: &ShardId| (*shard, self.fate(*shard).expect("a segment's shards have ended").clone());
        SegmentRecord { entries: shards.iter().map(entry).collect() }
    }
}

/// About what a store will write for it.
fn size_bytes(fate: &Fate) -> usize {
    match fate {
        Fate::Done(result) => 16 + result.outputs.iter().map(|output| 42 + output.name.len()).sum::<usize>(),
        Fate::Quarantined { reason, .. } => 8 + reason.len(),
    }
}

#[cfg(test)]
mod tests {
    use lethe_common::ids::Term;

    use super::*;

    fn results() -> Results {
        Results::new(AuditId::new("a").expect("is an id"), PhaseIndex(1))
    }

    fn done(counter: u64) -> Fate {
        let attempt = Attempt { term: Term(1), counter };
        Fate::Done(ShardResult { attempt, outputs: Box::new([]), counts: Counts { read: 2, scored: 1, failed: 1 } })
    }

    #[test]
    fn one_commit_a_step_fills_a_segment_before_the_next() {
        let mut results = results();
        let segments: Vec<u32> = (0..200).map(|n| results.end(ShardId(n), done(0), |_| false)).collect();
        assert_eq!((segments[0], segments[63], segments[64]), (0, 0, 1), "sealed at a kilobyte");
        assert_eq!(results.counts, Counts { read: 400, scored: 200, failed: 200 });
    }

    #[test]
    fn a_step_of_many_commits_writes_one_segment_once() {
        let mut results = results();
        let segments: Vec<u32> = (0..500).map(|n| results.end(ShardId(n), done(0), |_| true)).collect();
        assert!(segments.iter().all(|segment| *segment == 0), "all in the segment that is being written");
        assert_eq!(results.end(ShardId(500), done(0), |_| false), 1, "which is sealed for the next step");
    }

    #[test]
    fn segments_come_back_as_they_were() {
        let mut results = results();
        for n in [5, 3, 900] {
            results.end(ShardId(n), done(u64::from(n)), |_| false);
        }
        let mut loaded = self::results();
        for segment in 0..results.segments() {
            loaded.load(segment, results.segment(segment)).expect("fits");
        }
        assert_eq!(loaded, results);
        assert_eq!(loaded.load(1, results.segment(0)), Err(ShardId(5)), "a shard ends once");
    }
}
