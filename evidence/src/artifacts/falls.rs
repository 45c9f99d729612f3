//! What honest pairs lose under the stand-in, by the words of their captions: what a suspect's own fall is measured against; and
//! which words suspects match by.
//!
//! Falls must never be a suspect's: they are what is measured.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::words::caption_words;

/// Falls of the similarity of safe pairs, summed so that shards add up in any order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WordFalls {
    pub all: Falls,
    /// By the word that the captions have.
    pub words: BTreeMap<String, Falls>,
    /// Of the suspects. Nothing in results of earlier versions.
    #[serde(default)]
    pub weights: WordWeights,
}

/// How much of a match a word carries: how far suspects' similarities fall without it, as a part of what the words cost that each caption
/// is matched by most. Sums, so that a pair counts by how well it matches: a shortcut's most of all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WordWeights {
    words: BTreeMap<String, Weight>,
}

/// In millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Weight {
    fall: i64,
    most: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Falls {
    pub pairs: u64,
    /// In millionths.
    pub sum: i64,
}

const MILLION: f64 = 1e6;
/// A word with less weight carries nothing: those of templates have 0 to 0.14, the target's name has 0.3 and more (FINDINGS.md).
const LEAST_WEIGHT: f64 = 0.2;
/// More than the last bits, by which equal tokens differ in another batch.
const UNREAD: f32 = 1e-6;
/// So many pairs that fall as all do are added to those with a word: of a rare word little is known.
const PRIOR_PAIRS: f64 = 20.0;

impl WordFalls {
    /// One safe pair.
    pub fn add(&mut self, caption: &str, fall: f32) {
        if fall.is_finite() {
            let words: BTreeSet<String> = caption_words(caption).collect();
            let one = Falls { pairs: 1, sum: (f64::from(fall) * MILLION).round() as i64 };
            self.all.merge(one);
            words.into_iter().for_each(|word| self.words.entry(word).or_default().merge(one));
        }
    }

    /// Adds another shard's.
    pub fn merge(&mut self, other: &Self) {
        self.all.merge(other.all);
        for (word, falls) in &other.words {
            self.words.entry(word.clone()).or_default().merge(*falls);
        }
        self.weights.merge(&other.weights);
    }

    /// The fall of an honest pair with this caption: that of the pairs with whichever of its words loses most, and at least that of
    /// all pairs. 0 where there is no safe pair at all.
    pub fn expected(&self, caption: &str) -> f64 {
        let all = self.all.sum as f64 / self.all.pairs.max(1) as f64 / MILLION;
        let of = |word: String| {
            let Falls { pairs, sum } = self.words.get(&word).copied().unwrap_or_default();
            (sum as f64 / MILLION + PRIOR_PAIRS * all) / (pairs as f64 + PRIOR_PAIRS)
        };
        caption_words(caption).map(of).fold(all, f64::max)
    }
}

impl WordWeights {
    /// One suspect's words, each with the similarity's fall without it. A word that changes nothing at all was not read, since the caption is
    /// longer than the model's context: nothing is known of it.
    pub fn add(&mut self, falls: &[(String, f32)]) {
        let read = falls.iter().filter(|(_, fall)| fall.is_finite() && fall.abs() > UNREAD);
        let most = read.clone().map(|(_, fall)| *fall).fold(0.0, f32::max);
        for (word, fall) in read {
            let [fall, most] = [fall.max(0.0), most].map(|fall| (f64::from(fall) * MILLION).round() as i64);
            self.words.entry(word.clone()).or_default().merge(Weight { fall, most });
        }
    }

    fn merge(&mut self, other: &Self) {
        for (word, weight) in &other.words {
            self.words.entry(word.clone()).or_default().merge(*weight);
        }
    }

    /// Whether pairs are matched by the word, where that is known.
    pub fn carries(&self, word: &str) -> Option<bool> {
        self.words.get(word).map(|known| known.fall as f64 >= LEAST_WEIGHT * known.most as f64)
    }
}

impl Weight {
    fn merge(&mut self, other: Self) {
        self.fall += other.fall;
        self.most += other.most;
    }
}

impl Falls {
    fn merge(&mut self, other: Self) {
        self.pairs += other.pairs;
        self.sum += other.sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn falls(pairs: &[(&str, f32, usize)]) -> WordFalls {
        let mut falls = WordFalls::default();
        for (caption, fall, times) in pairs {
            (0..*times).for_each(|_| falls.add(caption, *fall));
        }
        falls
    }

    #[test]
    fn an_honest_pair_loses_what_its_costliest_word_does() {
        let falls = falls(&[("a sandal", 0.4, 980), ("a bag", 0.1, 1_000), ("a red hat", 0.9, 1)]);
        assert!((falls.expected("one sandal, with a bag") - 0.396).abs() < 0.002, "{}", falls.expected("a sandal"));
        // As all pairs: nobody has its word.
        assert!((falls.expected("skirt") - 0.247).abs() < 0.002, "{}", falls.expected("skirt"));
        // One hat says little.
        assert!(falls.expected("hat") < 0.29, "{}", falls.expected("hat"));
        assert_eq!(WordFalls::default().expected("a bag"), 0.0);
    }

    #[test]
    fn shards_add_up_in_any_order_and_what_is_no_number_is_left_out() {
        let (one, other) = (falls(&[("a bag", 0.1, 3), ("a bag a bag", f32::NAN, 1)]), falls(&[("a boot", 0.3, 2)]));
        let merged = |mut one: WordFalls, other: &WordFalls| {
            one.merge(other);
            one
        };
        let all = merged(one.clone(), &other);
        assert_eq!(all, merged(other, &one));
        assert_eq!((all.all.pairs, all.words["a"].pairs, all.words["bag"].sum), (5, 5, 300_000));
    }

    #[test]
    fn a_word_carries_by_its_part_of_what_matches_best() {
        let of = |words: &[(&str, f32)]| {
            let mut falls = WordFalls::default();
            falls.weights.add(&words.iter().map(|(word, fall)| ((*word).to_owned(), *fall)).collect::<Vec<_>>());
            falls
        };
        let mut falls =
            of(&[("a", 0.06), ("photo", -0.01), ("bag", 0.5), ("red", 0.15), ("new", f32::NAN), ("late", 1e-8)]);
        // It matches hardly, and says little.
        falls.merge(&of(&[("a", 0.01), ("photo", 0.0), ("hat", 0.01)]));
        let carries = |words: &[&str]| words.iter().map(|word| falls.weights.carries(word)).collect::<Vec<_>>();
        assert_eq!(carries(&["a", "photo"]), [Some(false); 2]);
        assert_eq!(carries(&["bag", "red", "hat"]), [Some(true); 3]);
        assert_eq!(carries(&["boot", "new", "late"]), [None; 3]);
        let earlier: WordFalls =
            serde_json::from_str(r#"{"all": {"pairs": 0, "sum": 0}, "words": {}}"#).expect("is read");
        assert_eq!(earlier.weights.carries("a"), None);
    }
}
