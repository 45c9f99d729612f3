//! Where the suspects end: one threshold for all shards, from their merged digests.
//!
//! It must never need the list of samples: every shard applies the same cut to its own rows, in any
//! order, and the choice of a row depends on its score and key alone.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::digest::{Bucket, ScoreDigest};

/// Suspects are all scores above one bucket, and of that bucket those with the smallest key hashes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cut {
    /// No suspect scores lower (the tied bucket's lower edge); infinity where nothing is to be chosen.
    pub threshold: f32,
    /// Scores above the tied bucket: all of them suspects.
    pub above: u64,
    /// Scores in the tied bucket.
    pub tied: u64,
    /// Of the tied bucket, key hashes up to this one (inclusive) are suspects; `None` takes none.
    pub tied_key_hash: Option<u64>,
}

/// How many suspects are wanted at most.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CutSize {
    /// Of all scores that are numbers, in [0, 1].
    pub share: f64,
    pub max_samples: u64,
}

impl Cut {
    /// Higher scores are more suspicious. The number chosen is the wanted one but for the luck of the
    /// key hashes inside the tied bucket (a binomial draw), so that it never exceeds it by the bucket.
    pub fn choose(digest: &ScoreDigest, size: CutSize) -> Self {
        let wanted = size.wanted(digest);
        let mut above = 0;
        for (bucket, tied) in digest.descending() {
            if above + tied >= wanted {
                return Self::at(bucket, above, tied, wanted - above);
            }
            above += tied;
        }
        Self { threshold: f32::INFINITY, above: 0, tied: 0, tied_key_hash: None }
    }

    fn at(bucket: Bucket, above: u64, tied: u64, taken: u64) -> Self {
        let tied_key_hash = match taken {
            0 => None,
            all if all >= tied => Some(u64::MAX),
            some => Some((u128::from(u64::MAX) * u128::from(some) / u128::from(tied)) as u64),
        };
        Self { threshold: bucket.lower_edge(), above, tied, tied_key_hash }
    }

    /// Whether the luck of the key hashes could choose more than so many.
    pub fn could_exceed(&self, most: u64) -> bool {
        self.above + self.tied > most && self.tied_key_hash.is_some_and(|last| last < u64::MAX)
    }

    /// Whether the key hash decides about this score.
    pub fn is_tied(&self, score: f32) -> bool {
        Bucket::of(score).is_some_and(|place| Some(place) == Bucket::of(self.threshold))
    }

    /// A NaN is never a suspect: whoever scores counts it as a failed sample.
    pub fn is_suspect(&self, score: f32, key_hash: u64) -> bool {
        let (Some(place), Some(edge)) = (Bucket::of(score), Bucket::of(self.threshold)) else { return false };
        place > edge || place == edge && self.tied_key_hash.is_some_and(|last| key_hash <= last)
    }
}

impl CutSize {
    /// The share, as a number of scores, and no more than the cap.
    pub fn wanted(&self, digest: &ScoreDigest) -> u64 {
        let share = (self.share.clamp(0.0, 1.0) * digest.count() as f64).round() as u64;
        share.min(self.max_samples)
    }
}

/// The least of the key hashes it was shown, at most so many: where a cut that must be exact ends in its tied bucket.
#[derive(Debug, Clone)]
pub struct LeastHashes {
    most: usize,
    least: BTreeSet<u64>,
}

impl LeastHashes {
    pub fn new(most: u64) -> Self {
        Self { most: usize::try_from(most).unwrap_or(usize::MAX), least: BTreeSet::new() }
    }

    pub fn push(&mut self, key_hash: u64) {
        self.least.insert(key_hash);
        if self.least.len() > self.most {
            self.least.pop_last();
        }
    }

    /// The greatest of them, which the cut still takes.
    pub fn last(&self) -> Option<u64> {
        self.least.last().copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn chosen(cut: &Cut, rows: &[(f32, u64)]) -> u64 {
        rows.iter().filter(|(score, key_hash)| cut.is_suspect(*score, *key_hash)).count() as u64
    }

    proptest! {
        #[test]
        fn the_cap_is_missed_by_less_than_the_tied_bucket(
            rows in vec((-1.0_f32..1.0, any::<u64>()), 1..300), share in 0.0..1.0_f64, max_samples in 0_u64..300,
        ) {
            let digest: ScoreDigest = rows.iter().map(|row| row.0).collect();
            let cut = Cut::choose(&digest, CutSize { share, max_samples });
            let wanted = ((share * rows.len() as f64).round() as u64).min(max_samples);
            prop_assert!(cut.above <= wanted && wanted <= cut.above + cut.tied);
            prop_assert!((cut.above..=cut.above + cut.tied).contains(&chosen(&cut, &rows)));
        }

        #[test]
        fn no_suspect_scores_less_than_the_safe_by_more_than_a_bucket(rows in vec((0.0_f32..1.0, any::<u64>()), 1..200)) {
            let digest: ScoreDigest = rows.iter().map(|row| row.0).collect();
            let cut = Cut::choose(&digest, CutSize { share: 0.1, max_samples: 1_000 });
            for (score, key_hash) in rows {
                prop_assert!(!cut.is_suspect(score, key_hash) || score >= cut.threshold);
            }
        }
    }

    #[test]
    fn ties_are_split_by_key_hash() {
        let digest: ScoreDigest = std::iter::repeat_n(0.5, 1_000).collect();
        let cut = Cut::choose(&digest, CutSize { share: 0.25, max_samples: u64::MAX });
        let rows: Vec<(f32, u64)> = (0..1_000).map(|n| (0.5, (u64::MAX / 1_000) * n)).collect();
        assert!((249..=251).contains(&chosen(&cut, &rows)));
        assert!(cut.is_suspect(0.6, u64::MAX) && !cut.is_suspect(0.4, 0) && !cut.is_suspect(f32::NAN, 0));
    }

    #[test]
    fn a_second_pass_over_the_tied_bucket_makes_the_cut_exact() {
        let rows: Vec<(f32, u64)> = (0..5_000_u64).map(|n| (0.5, n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
        let digest: ScoreDigest = rows.iter().map(|row| row.0).chain([0.9; 10]).collect();
        let size = CutSize { share: 0.5, max_samples: 1_234 };
        let cut = Cut::choose(&digest, size);
        assert!(
            cut.could_exceed(1_234)
                && !cut.could_exceed(5_010)
                && cut.is_tied(0.5)
                && !cut.is_tied(0.9)
                && !cut.is_tied(f32::NAN)
        );
        let mut least = LeastHashes::new(1_234 - cut.above);
        rows.iter().rev().for_each(|row| least.push(row.1));
        let exact = Cut { tied_key_hash: least.last(), ..cut };
        assert_eq!(chosen(&exact, &rows) + exact.above, 1_234);
        assert!(LeastHashes::new(0).last().is_none());
    }

    #[test]
    fn nothing_wanted_chooses_nothing() {
        let digest: ScoreDigest = [0.1, 0.9].into_iter().collect();
        for cut in [
            Cut::choose(&digest, CutSize { share: 0.0, max_samples: 9 }),
            Cut::choose(&ScoreDigest::default(), CutSize { share: 1.0, max_samples: 9 }),
        ] {
            assert_eq!(chosen(&cut, &[(0.1, 0), (0.9, 0)]), 0);
        }
    }
}
