//! A mergeable distribution of scores: a sparse histogram over the order-preserving top 20 bits.
//!
//! It must never depend on the order in which scores or digests came, so that a retried or reordered
//! shard changes nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::EvidenceError;

/// Sign, 8 bits of exponent and 11 of mantissa.
const KEPT_BITS: u32 = 20;
const DROPPED_BITS: u32 = 32 - KEPT_BITS;

/// The width of a bucket relative to a normal score in it; also the error of [`ScoreDigest::quantile`].
/// Below 2^-126 the error is at most 2^-137, absolute.
pub const RELATIVE_ERROR: f32 = 1.0 / 2048.0;

/// A score's place in the histogram; larger scores never have a smaller bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Bucket(u32);

impl Bucket {
    /// `None` for NaN. Minus zero is zero.
    pub fn of(score: f32) -> Option<Self> {
        if score.is_nan() {
            return None;
        }
        let bits = (score + 0.0).to_bits();
        let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
        Some(Self(ordered >> DROPPED_BITS))
    }

    /// The smallest score that falls into this bucket.
    pub fn lower_edge(self) -> f32 {
        let ordered = self.0 << DROPPED_BITS;
        let edge = f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered });
        // The bucket of minus infinity begins at a NaN's bits.
        if edge.is_nan() { f32::NEG_INFINITY } else { edge }
    }
}

/// How many scores fell into each bucket. NaNs are counted apart and have no place in the order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct ScoreDigest {
    buckets: BTreeMap<u32, u64>,
    count: u64,
    nan_count: u64,
}

/// The stored form: pairs instead of a map, and no count that could disagree with them.
#[derive(Serialize, Deserialize)]
struct Wire {
    nan: u64,
    buckets: Vec<(u32, u64)>,
}

impl ScoreDigest {
    pub fn add(&mut self, score: f32) {
        match Bucket::of(score) {
            Some(Bucket(index)) => {
                *self.buckets.entry(index).or_default() += 1;
                self.count += 1;
            }
            None => self.nan_count += 1,
        }
    }

    pub fn merge(&mut self, other: &Self) {
        for (&index, &count) in &other.buckets {
            *self.buckets.entry(index).or_default() += count;
        }
        self.count += other.count;
        self.nan_count += other.nan_count;
    }

    /// Scores that are numbers.
    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn nan_count(&self) -> u64 {
        self.nan_count
    }

    /// The score that a share `q` of the scores lies below (nearest rank), as its bucket's lower edge:
    /// at most [`RELATIVE_ERROR`] under the exact one. `None` where there are no scores.
    pub fn quantile(&self, q: f64) -> Option<f32> {
        let last = self.count.checked_sub(1)?;
        let rank = ((q.clamp(0.0, 1.0) * self.count as f64) as u64).min(last);
        let mut below = 0;
        for (&index, &count) in &self.buckets {
            below += count;
            if below > rank {
                return Some(Bucket(index).lower_edge());
            }
        }
        None
    }

    /// Scores in the bucket of `score` and above: never too few, and too many by less than that bucket.
    pub fn count_at_least(&self, score: f32) -> u64 {
        Bucket::of(score).map_or(0, |bucket| self.buckets.range(bucket.0..).map(|(_, count)| count).sum())
    }

    /// Buckets with their counts, highest scores first.
    pub fn descending(&self) -> impl Iterator<Item = (Bucket, u64)> {
        self.buckets.iter().rev().map(|(&index, &count)| (Bucket(index), count))
    }
}

impl FromIterator<f32> for ScoreDigest {
    fn from_iter<I: IntoIterator<Item = f32>>(scores: I) -> Self {
        let mut digest = Self::default();
        scores.into_iter().for_each(|score| digest.add(score));
        digest
    }
}

impl From<ScoreDigest> for Wire {
    fn from(digest: ScoreDigest) -> Self {
        Self { nan: digest.nan_count, buckets: digest.buckets.into_iter().collect() }
    }
}

impl TryFrom<Wire> for ScoreDigest {
    type Error = EvidenceError;
    fn try_from(wire: Wire) -> Result<Self, EvidenceError> {
        let limit = 1 << KEPT_BITS;
        if let Some(&(index, _)) = wire.buckets.iter().find(|(index, count)| *index >= limit || *count == 0) {
            return Err(EvidenceError::Bucket { index, limit });
        }
        let mut digest = Self { nan_count: wire.nan, ..Self::default() };
        for (index, count) in wire.buckets {
            *digest.buckets.entry(index).or_default() += count;
            digest.count += count;
        }
        Ok(digest)
    }
}

#[cfg(test)]
mod tests;
