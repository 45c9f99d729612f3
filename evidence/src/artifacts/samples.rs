//! The account of samples: how many were read, and which could not be.

use serde::{Deserialize, Serialize};

/// The most bad samples that one list names; the rest are only counted.
pub const MAX_BAD_SAMPLES: usize = 100;

/// read = scored + failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SampleCounts {
    pub read: u64,
    pub scored: u64,
    pub failed: u64,
}

/// A sample that could not be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BadSample {
    pub key: String,
    pub reason: String,
}

/// Bad samples: all counted, the first [`MAX_BAD_SAMPLES`] named.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BadSamples {
    pub count: u64,
    /// In order of key.
    pub listed: Vec<BadSample>,
}

impl SampleCounts {
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { read: self.read + other.read, scored: self.scored + other.scored, failed: self.failed + other.failed }
    }

    /// Failed of read, 0 where nothing was read.
    pub fn failed_share(self) -> f64 {
        if self.read == 0 { 0.0 } else { self.failed as f64 / self.read as f64 }
    }
}

impl BadSamples {
    pub fn push(&mut self, sample: BadSample) {
        self.merge(&Self { count: 1, listed: vec![sample] });
    }

    /// Both lists as one; the keys that come first stay, whichever list was first.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.listed.extend(other.listed.iter().cloned());
        self.listed.sort();
        self.listed.truncate(MAX_BAD_SAMPLES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(keys: std::ops::Range<u32>) -> BadSamples {
        let mut bad = BadSamples::default();
        keys.for_each(|n| bad.push(BadSample { key: format!("{n:04}"), reason: "broken".to_owned() }));
        bad
    }

    #[test]
    fn merging_forgets_order_but_no_count() {
        let (low, high) = (list(0..80), list(80..160));
        let (mut one, mut two) = (low.clone(), high.clone());
        one.merge(&high);
        two.merge(&low);
        assert_eq!(one, two);
        assert_eq!((one.count, one.listed.len()), (160, MAX_BAD_SAMPLES));
        assert_eq!(one.listed.last().map(|b| b.key.as_str()), Some("0099"));
    }
}
