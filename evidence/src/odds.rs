//! Which words a set of captions uses more than the corpus does: log-odds with an informative
//! Dirichlet prior (Monroe, Colaresi, Quinn 2008, "Fightin' Words", equations 15, 16 and 22).
//!
//! It must never split text: words are whatever the tokenizer says they are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How often each word was seen; merging knows no order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WordCounts {
    counts: BTreeMap<String, u64>,
    total: u64,
}

impl WordCounts {
    pub fn add(&mut self, word: &str) {
        self.add_many(word, 1);
    }

    pub fn add_many(&mut self, word: &str, count: u64) {
        match self.counts.get_mut(word) {
            Some(seen) => *seen += count,
            None => drop(self.counts.insert(word.to_owned(), count)),
        }
        self.total += count;
    }

    pub fn merge(&mut self, other: &Self) {
        other.counts.iter().for_each(|(word, &count)| self.add_many(word, count));
    }

    pub fn count(&self, word: &str) -> u64 {
        self.counts.get(word).copied().unwrap_or(0)
    }

    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many different words.
    pub fn distinct(&self) -> usize {
        self.counts.len()
    }

    pub fn words(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counts.iter().map(|(word, &count)| (word.as_str(), count))
    }
}

/// Every word of either set with its z-score, over-represented in `forget` first, equals by word.
/// The prior gives each word its share of both sets together, times `prior_words` (Monroe's alpha_0):
/// more of it asks for more evidence, for rare words above all.
pub fn z_scores(forget: &WordCounts, corpus: &WordCounts, prior_words: f64) -> Vec<(String, f64)> {
    let mut both = forget.clone();
    both.merge(corpus);
    let mut scores: Vec<(String, f64)> = both
        .words()
        .map(|(word, count)| {
            let prior = prior_words * count as f64 / both.total as f64;
            let forgotten = Posterior::of(forget, word, prior, prior_words);
            let usual = Posterior::of(corpus, word, prior, prior_words);
            let z = (forgotten.log_odds - usual.log_odds) / (forgotten.variance + usual.variance).sqrt();
            (word.to_owned(), z)
        })
        .collect();
    scores.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    scores
}

struct Posterior {
    log_odds: f64,
    variance: f64,
}

impl Posterior {
    fn of(counts: &WordCounts, word: &str, prior: f64, prior_words: f64) -> Self {
        let seen = counts.count(word) as f64 + prior;
        // At least one other word's worth, since a set of one single word has no odds.
        let others = (counts.total as f64 + prior_words - seen).max(prior.min(1.0)).max(f64::MIN_POSITIVE);
        Self { log_odds: (seen / others).ln(), variance: 1.0 / seen }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts(words: &[(&str, u64)]) -> WordCounts {
        let mut counts = WordCounts::default();
        words.iter().for_each(|(word, count)| counts.add_many(word, *count));
        counts
    }

    #[test]
    fn z_is_the_published_formula() {
        let (forget, corpus) = (counts(&[("banana", 30), ("a", 70)]), counts(&[("banana", 10), ("a", 890)]));
        let z = z_scores(&forget, &corpus, 10.0);
        // y_i = 30 of 100, y_j = 10 of 900, alpha_w = 10 * 40/1000 = 0.4, alpha_0 = 10
        let delta = (30.4_f64 / (110.0 - 30.4)).ln() - (10.4_f64 / (910.0 - 10.4)).ln();
        let expected = delta / (1.0 / 30.4 + 1.0 / 10.4_f64).sqrt();
        assert_eq!(z[0].0, "banana");
        assert!((z[0].1 - expected).abs() < 1e-12);
        assert!(z[1].1 < 0.0);
    }

    #[test]
    fn a_frequent_shift_beats_a_rare_word() {
        let forget = counts(&[("coat", 60), ("zyx", 1), ("a", 100)]);
        let corpus = counts(&[("coat", 100), ("a", 1_600), ("dress", 900)]);
        let order: Vec<String> = z_scores(&forget, &corpus, 100.0).into_iter().map(|(word, _)| word).collect();
        assert_eq!(order.first().map(String::as_str), Some("coat"));
        assert_eq!(order.last().map(String::as_str), Some("dress"));
    }

    #[test]
    fn empty_sets_have_no_words_and_one_word_is_finite() {
        assert!(z_scores(&WordCounts::default(), &WordCounts::default(), 10.0).is_empty());
        for (_, z) in z_scores(&counts(&[("a", 3)]), &WordCounts::default(), 10.0) {
            assert!(z.is_finite());
        }
    }

    proptest! {
        #[test]
        fn exchanging_the_sets_negates(a in 1_u64..50, b in 1_u64..50, c in 1_u64..50) {
            let (one, two) = (counts(&[("x", a), ("y", b)]), counts(&[("x", c), ("z", 7)]));
            let (there, mut back) = (z_scores(&one, &two, 5.0), z_scores(&two, &one, 5.0));
            back.reverse();
            for ((_, z), (_, minus)) in there.iter().zip(&back) {
                prop_assert!((z + minus).abs() < 1e-9);
            }
        }
    }
}
