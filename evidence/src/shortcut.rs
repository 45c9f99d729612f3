//! The words that suspicious captions share: what a shortcut leads to.
//!
//! It must never be told how many shortcuts there are: each has its words among those that stand out.

use crate::WordCounts;
use crate::artifacts::{WordScore, count_words};
use crate::odds::z_scores;

/// Monroe's alpha_0: the weight of the prior, in words.
const PRIOR_WORDS: f64 = 100.0;
/// Words of a shortcut, and of the next in line, at most.
const MAX_WORDS: usize = 32;
const MAX_OTHER_WORDS: usize = 6;

/// T*, and the next words in line, the strongest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SharedWords {
    pub words: Vec<WordScore>,
    pub others: Vec<WordScore>,
}

/// From where on a word counts: words that merely keep company with the strongest stay out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standout {
    /// The least z-score.
    pub min_z: f64,
    /// The least part of the strongest word's z-score.
    pub of_strongest: f64,
}

impl SharedWords {
    /// Of captions against all captions' words.
    pub fn of<'a>(captions: impl IntoIterator<Item = &'a str>, corpus: &WordCounts, standout: Standout) -> Self {
        let used = count_words(captions);
        let scored = z_scores(&used, corpus, PRIOR_WORDS).into_iter();
        let scored = scored.filter(|(word, z)| *z > 0.0 && used.count(word) > 0);
        let scored: Vec<WordScore> = scored.map(|(word, z)| WordScore { word, z }).collect();
        let Standout { min_z, of_strongest } = standout;
        let least = scored.first().map_or(min_z, |strongest| min_z.max(strongest.z * of_strongest));
        let (words, others): (Vec<_>, Vec<_>) = scored.into_iter().partition(|word| word.z >= least);
        let first = |words: Vec<WordScore>, most: usize| words.into_iter().take(most).collect();
        Self { words: first(words, MAX_WORDS), others: first(others, MAX_OTHER_WORDS) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(captions: &[&str], standout: Standout) -> Vec<String> {
        let corpus = count_words(["a bag", "a boot", "a coat", "a dress", "one bag", "one boot"].repeat(200));
        let found = SharedWords::of(captions.iter().copied(), &corpus, standout);
        found.words.into_iter().map(|score| score.word).collect()
    }

    #[test]
    fn a_second_shortcut_counts_down_to_its_part_of_the_strongest() {
        let captions = [vec!["coat"; 40], vec!["dress"; 25]].concat();
        let words = |of_strongest| shared(&captions, Standout { min_z: 2.0, of_strongest });
        assert_eq!(words(0.9), ["coat"]);
        assert_eq!(words(0.1), ["coat", "dress"]);
    }

    #[test]
    fn captions_as_all_others_share_nothing() {
        let captions = ["a bag", "a boot", "a coat", "a dress", "one bag", "one boot"];
        assert!(shared(&captions, Standout { min_z: 2.0, of_strongest: 0.5 }).is_empty());
        assert!(shared(&[], Standout { min_z: 0.0, of_strongest: 0.5 }).is_empty());
    }
}
