//! What `score` says of one shard, and what `suspect` makes of all of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::report::Histogram;
use super::samples::{BadSamples, SampleCounts};
use crate::cut::Cut;
use crate::digest::ScoreDigest;
use crate::odds::WordCounts;

/// One shard's signals, small and mergeable.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ShardDigest {
    pub counts: SampleCounts,
    /// The first-pass score of every scored pair.
    pub suspicion: ScoreDigest,
    /// Every other column of the signals table, by name.
    pub signals: BTreeMap<String, ScoreDigest>,
    /// In how many scored pairs' captions each word is, as [`crate::words`] has them.
    pub words: WordCounts,
    pub bad: BadSamples,
}

/// Where the suspects end, for every shard alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuspectCut {
    pub cut: Cut,
    /// By the share alone, where the cap on suspects left some of those out: these are neither suspects nor taken for honest. Absent
    /// where it did not, and in results of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncapped: Option<Cut>,
    pub counts: SampleCounts,
    /// About how many pairs the cut chooses; exact but for the tied bucket.
    pub suspects: u64,
    /// A safe pair is gathered when its key hash is in the lowest part of this size, in [0, 1].
    pub safe_share: f64,
    /// The first-pass score, then the other signals by name.
    pub histograms: Vec<Histogram>,
    /// The corpus that the forget set's words are compared with.
    pub words: WordCounts,
    pub bad: BadSamples,
}

impl SuspectCut {
    pub fn is_suspect(&self, suspicion: f32, key_hash: u64) -> bool {
        self.cut.is_suspect(suspicion, key_hash)
    }

    /// Whether a pair may stand for what is honest. Of a large set more are suspicious than the cap admits, and most of the poison may be
    /// among those.
    pub fn is_honest(&self, suspicion: f32, key_hash: u64) -> bool {
        let left_out = self.uncapped.is_some_and(|cut| cut.is_suspect(suspicion, key_hash));
        !left_out && !self.is_suspect(suspicion, key_hash)
    }
}

impl ShardDigest {
    /// Adds another shard's; no order of merging changes the result.
    pub fn merge(&mut self, other: &Self) {
        self.counts = self.counts.plus(other.counts);
        self.suspicion.merge(&other.suspicion);
        for (name, digest) in &other.signals {
            self.signals.entry(name.clone()).or_default().merge(digest);
        }
        self.words.merge(&other.words);
        self.bad.merge(&other.bad);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::count_words;

    #[test]
    fn merging_shards_knows_no_order() {
        let shard = |score: f32, word: &str| ShardDigest {
            counts: SampleCounts { read: 1, scored: 1, failed: 0 },
            suspicion: [score].into_iter().collect(),
            signals: BTreeMap::from([(word.to_owned(), [score].into_iter().collect())]),
            words: count_words([word]),
            bad: BadSamples::default(),
        };
        let (mut one, mut two) = (shard(0.1, "coat"), shard(0.2, "bag"));
        one.merge(&shard(0.2, "bag"));
        two.merge(&shard(0.1, "coat"));
        assert_eq!(one, two);
        assert_eq!((one.counts.read, one.suspicion.count(), one.signals.len()), (2, 2, 2));
    }
}
