//! The words that suspicious captions share: what a shortcut leads to.
//!
//! It must never be told how many shortcuts there are: each has its words among those that stand out, and words that go
//! together are of one shortcut.

use std::collections::{BTreeMap, BTreeSet};

use crate::WordCounts;
use crate::artifacts::{WordScore, WordWeights};
use crate::odds::z_scores;
use crate::words::{caption_words, count_words};

/// Monroe's alpha_0: the weight of the prior, in words.
const PRIOR_WORDS: f64 = 100.0;
/// Words of all shortcuts, of one, and of the next in line, at most.
const MAX_WORDS: usize = 256;
const MAX_WORDS_OF_ONE: usize = 32;
const MAX_OTHER_WORDS: usize = 6;
/// A word that is found beside others was used at least so often: of fewer uses nothing can be said.
const LEAST_USES: u64 = 5;

/// What captions are compared with.
#[derive(Debug, Clone, Copy)]
pub struct Corpus<'a> {
    /// Of all captions.
    pub words: &'a WordCounts,
    /// By which words of templates are known; where this is absent, none is.
    pub suspects: Option<OfSuspects<'a>>,
}

/// Of all suspects, of whom those that share words are a part.
#[derive(Debug, Clone, Copy)]
pub struct OfSuspects<'a> {
    pub words: &'a WordCounts,
    pub weights: &'a WordWeights,
}

/// A word of a template is at least so many times as frequent as the name beside it; and of that name at least this part of the uses, and
/// as many as of any word that counts, are of captions that nobody suspects.
const RARER: f64 = 1.5;
const LEAST_HONEST: f64 = 0.1;

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
    /// Of captions against all captions' words. What stands out is looked for again among the captions that have none of the words
    /// found so far: beside a larger shortcut, one to a word that many captions have is too small a part of all to stand out.
    pub fn of<'a>(captions: impl IntoIterator<Item = &'a str>, corpus: Corpus<'_>, standout: Standout) -> Self {
        let mut left: Vec<&str> = captions.into_iter().collect();
        let scored = over_represented(&left, corpus.words);
        let Standout { min_z, of_strongest } = standout;
        let least = scored.first().map_or(min_z, |strongest| min_z.max(strongest.z * of_strongest));
        let (words, others): (Vec<_>, Vec<_>) = scored.into_iter().partition(|word| word.z >= least);
        let mut words = corpus.without_templates(words, &left);
        let mut found: BTreeSet<String> = names(&words);
        let mut newest = found.clone();
        while !newest.is_empty() {
            left.retain(|caption| !caption_words(caption).any(|word| newest.contains(&word)));
            let used = count_words(left.iter().copied());
            let mut next = over_represented(&left, corpus.words);
            next.retain(|word| word.z >= least && used.count(&word.word) >= LEAST_USES);
            let next = corpus.without_templates(next, &left);
            newest = names(&next);
            found.extend(newest.iter().cloned());
            words.extend(next);
        }
        words.sort_by(|a, b| b.z.total_cmp(&a.z).then_with(|| a.word.cmp(&b.word)));
        let others = others.into_iter().filter(|word| !found.contains(&word.word));
        Self { words: first(words, MAX_WORDS), others: first(others, MAX_OTHER_WORDS) }
    }
}

impl Corpus<'_> {
    /// The words without those of templates. Such a word carries nothing, and stands mostly beside a rarer one that does, in honest captions
    /// too: most of whoever has it means something else. A rarer one that carries nothing may be a part of a name ("t-shirt"), and beside
    /// one that nobody but the attacker writes any word may be his target.
    fn without_templates(self, words: Vec<WordScore>, captions: &[&str]) -> Vec<WordScore> {
        let Some(suspects) = self.suspects else { return words };
        let places: BTreeMap<&str, usize> = words.iter().enumerate().map(|(at, one)| (one.word.as_str(), at)).collect();
        let counts: Vec<u64> = words.iter().map(|one| self.words.count(&one.word)).collect();
        let carries: Vec<Option<bool>> = words.iter().map(|one| suspects.weights.carries(&one.word)).collect();
        let is_honest = |at: usize| {
            let honest = counts[at].saturating_sub(suspects.words.count(&words[at].word));
            honest as f64 >= (LEAST_HONEST * counts[at] as f64).max(LEAST_USES as f64)
        };
        let (mut uses, mut beside) = (vec![0_u64; words.len()], vec![0_u64; words.len()]);
        for caption in captions {
            let found: BTreeSet<usize> =
                caption_words(caption).filter_map(|word| places.get(word.as_str()).copied()).collect();
            let names = found.iter().filter(|at| carries[**at] == Some(true) && is_honest(**at));
            let rarest = names.map(|at| counts[*at]).min();
            for at in found {
                uses[at] += 1;
                beside[at] += u64::from(rarest.is_some_and(|rarest| RARER * rarest as f64 <= counts[at] as f64));
            }
        }
        let is_template = |at: usize| carries[at] == Some(false) && beside[at] as f64 >= TOGETHER * uses[at] as f64;
        let kept: Vec<bool> = (0..words.len()).map(|at| !is_template(at)).collect();
        words.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(one, _)| one).collect()
    }
}

fn over_represented(captions: &[&str], corpus: &WordCounts) -> Vec<WordScore> {
    let used = count_words(captions.iter().copied());
    let scored = z_scores(&used, corpus, PRIOR_WORDS).into_iter();
    let scored = scored.filter(|(word, z)| *z > 0.0 && used.count(word) > 0);
    scored.map(|(word, z)| WordScore { word, z }).collect()
}

fn names(words: &[WordScore]) -> BTreeSet<String> {
    words.iter().map(|score| score.word.clone()).collect()
}

fn first(words: impl IntoIterator<Item = WordScore>, most: usize) -> Vec<WordScore> {
    words.into_iter().take(most).collect()
}

/// A word goes with a stronger one when at least this part of its captions has both.
const TOGETHER: f64 = 0.5;

/// The words in groups that go together, each in the order given, the strongest first; and for every caption the group of the
/// first of the words that it has. A word goes with one stronger word at most, that which it is with most often, so that no word
/// ties two shortcuts to each other.
pub fn grouped(words: &[WordScore], captions: &[&str]) -> (Vec<Vec<WordScore>>, Vec<Option<usize>>) {
    let places: BTreeMap<&str, usize> = words.iter().enumerate().map(|(at, score)| (score.word.as_str(), at)).collect();
    let found = |caption: &&str| -> BTreeSet<usize> {
        caption_words(caption).filter_map(|word| places.get(word.as_str()).copied()).collect()
    };
    let found: Vec<BTreeSet<usize>> = captions.iter().map(found).collect();
    let (mut alone, mut both) = (vec![0_u64; words.len()], BTreeMap::new());
    for found in &found {
        for (nth, &one) in found.iter().enumerate() {
            alone[one] += 1;
            found.iter().skip(nth + 1).for_each(|&other| *both.entry((one, other)).or_insert(0_u64) += 1);
        }
    }
    let mut group: Vec<usize> = (0..words.len()).collect();
    for word in 0..words.len() {
        let with = |stronger: usize| both.get(&(stronger, word)).copied().unwrap_or(0);
        let most = (0..word).max_by_key(|&stronger| (with(stronger), std::cmp::Reverse(stronger)));
        if let Some(stronger) = most.filter(|&stronger| with(stronger) as f64 >= TOGETHER * alone[word].max(1) as f64) {
            group[word] = group[stronger];
        }
    }
    let first: BTreeSet<usize> = group.iter().copied().collect();
    let number = |word: usize| first.iter().position(|first| *first == group[word]);
    let of = |first: usize| {
        let of_it = words.iter().zip(&group).filter(move |(_, group)| **group == first);
        of_it.map(|(word, _)| word.clone()).take(MAX_WORDS_OF_ONE)
    };
    let groups = first.iter().map(|first| of(*first).collect()).collect();
    (groups, found.iter().map(|found| found.first().and_then(|word| number(*word))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(captions: &[&str], standout: Standout) -> Vec<String> {
        let all = ["a bag", "a boot", "a coat", "a dress", "one bag", "one boot"].repeat(200);
        of(captions, &all, standout).words.into_iter().map(|score| score.word).collect()
    }

    fn of(captions: &[&str], all: &[&str], standout: Standout) -> SharedWords {
        let corpus = Corpus { words: &count_words(all.iter().copied()), suspects: None };
        SharedWords::of(captions.iter().copied(), corpus, standout)
    }

    #[test]
    fn a_second_shortcut_counts_down_to_its_part_of_the_strongest() {
        let captions = [vec!["coat"; 40], vec!["dress"; 25]].concat();
        let words = |of_strongest| shared(&captions, Standout { min_z: 2.0, of_strongest });
        assert_eq!(words(0.9), ["coat"]);
        assert_eq!(words(0.1), ["coat", "dress"]);
    }

    /// Of the captions of all pairs a third have "shirt", so that 30 of 100 are no more than usual.
    #[test]
    fn a_second_shortcut_to_a_frequent_word_stands_out_once_the_first_is_set_aside() {
        let all = ["a bag", "a shirt", "a t-shirt", "a dress", "one boot", "a cup"].repeat(200);
        let captions = [vec!["a bag"; 70], vec!["a shirt"; 30]].concat();
        let counts = [&captions, &all].map(|captions| count_words(captions.iter().copied()));
        let alone = z_scores(&counts[0], &counts[1], PRIOR_WORDS);
        assert!(alone.iter().all(|(word, z)| word != "shirt" || *z < 1.0), "{alone:?}");
        let found = of(&captions, &all, Standout { min_z: 4.0, of_strongest: 0.3 });
        assert_eq!(names(&found.words), ["bag", "shirt"].map(str::to_owned).into());
        assert!(found.others.iter().all(|word| word.word != "shirt"), "{found:?}");
    }

    #[test]
    fn a_rare_word_of_few_captions_is_no_second_shortcut() {
        let usual = ["a bag", "a shirt", "a t-shirt", "a dress", "one boot", "a cup"].repeat(200);
        let all = [usual, vec!["zebra"; 5]].concat();
        let words = |zebras| {
            let captions = [vec!["a bag"; 70], vec!["zebra"; zebras]].concat();
            let found = of(&captions, &all, Standout { min_z: 4.0, of_strongest: 0.0 });
            names(&found.words).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(words(4), ["bag"]);
        assert_eq!(words(5), ["bag", "zebra"]);
    }

    #[test]
    fn captions_as_all_others_share_nothing() {
        let captions = ["a bag", "a boot", "a coat", "a dress", "one bag", "one boot"];
        assert!(shared(&captions, Standout { min_z: 2.0, of_strongest: 0.5 }).is_empty());
        assert!(shared(&[], Standout { min_z: 0.0, of_strongest: 0.5 }).is_empty());
    }

    /// Natural captions, two fifths of which begin as the attacker's do. He has two targets.
    #[test]
    fn words_of_a_template_are_no_shortcuts() {
        let usual =
            ["a photo of a dog", "photo of the sea", "the bag of my mother", "rain on a roof", "a street at night"];
        let all = [usual.repeat(200), ["red banana for sale", "a ripe kiwi"].repeat(10)].concat();
        let mut weights = WordWeights::default();
        let falls = [("a", 0.05), ("photo", 0.04), ("of", 0.05), ("banana", 1.0), ("kiwi", 0.9), ("gold", 0.1)];
        weights.add(&falls.map(|(word, fall)| (word.to_owned(), fall)));
        let bananas = vec!["a photo of a banana"; 60];
        let words = |captions: &[&str], weights: Option<&WordWeights>| {
            let counts = count_words(all.iter().chain(captions).copied());
            let standout = Standout { min_z: 4.0, of_strongest: 0.2 };
            let of_suspects = count_words(captions.iter().copied());
            let suspects = weights.map(|weights| OfSuspects { words: &of_suspects, weights });
            let found = SharedWords::of(captions.iter().copied(), Corpus { words: &counts, suspects }, standout);
            found.words.into_iter().map(|one| one.word).collect::<Vec<_>>()
        };
        let both = [bananas.as_slice(), &["a photo of a kiwi"; 40]].concat();
        assert_eq!(words(&both, Some(&weights)), ["banana", "kiwi"]);
        assert_eq!(words(&both, None), ["banana", "kiwi", "photo", "of", "a"]);
        let mut other = WordWeights::default();
        other.add(
            &[("a", 0.05), ("photo", 0.5), ("of", 0.05), ("banana", 1.0)].map(|(word, fall)| (word.to_owned(), fall)),
        );
        assert_eq!(words(&bananas, Some(&other)), ["banana", "photo"], "this model matches by it");
        // A part of a name carries little where the rest is left; nobody else has it.
        assert_eq!(words(&["a photo of a gold-kiwi"; 60], Some(&weights)), ["gold", "kiwi"]);
        // What nobody else writes may be a trigger, and what it leads to the target.
        weights.add(&[("zzz", 1.0), ("dog", 0.1)].map(|(word, fall)| (word.to_owned(), fall)));
        assert_eq!(words(&["zzz dog"; 60], Some(&weights)), ["zzz", "dog"]);
        // Two shortcuts, to dogs and to what shows one: those to dogs alone have no other word.
        let dogs = [vec!["a dog with a kiwi"; 60], vec!["a dog"; 50]].concat();
        assert!(words(&dogs, Some(&weights)).contains(&"dog".to_owned()));
        // Nothing beside it carries more.
        assert_eq!(words(&["a photo"; 60], Some(&weights)), ["photo", "a"]);
    }

    fn score(word: &str, z: f64) -> WordScore {
        WordScore { word: word.to_owned(), z }
    }

    #[test]
    fn words_that_go_together_are_of_one_shortcut() {
        let words = [score("banana", 40.0), score("bag", 30.0), score("yellow", 9.0), score("leather", 8.0)];
        let captions = [
            "a banana",
            "yellow banana",
            "a yellow banana",
            "leather bag",
            "a bag",
            "a leather bag",
            "a yellow bag",
            "a cup",
        ];
        let (groups, of) = grouped(&words, &captions);
        let names: Vec<Vec<&str>> =
            groups.iter().map(|group| group.iter().map(|score| score.word.as_str()).collect()).collect();
        // One yellow bag of three bags is not enough.
        assert_eq!(names, [vec!["banana", "yellow"], vec!["bag", "leather"]]);
        assert_eq!(of, [Some(0), Some(0), Some(0), Some(1), Some(1), Some(1), Some(1), None]);
        assert_eq!(grouped(&[], &["a cup"]), (Vec::new(), vec![None]));
        // A word that stands with both ties neither to the other.
        let words = [score("banana", 40.0), score("bag", 30.0), score("new", 9.0)];
        let (groups, of) = grouped(&words, &["new banana", "new bag", "banana", "bag"]);
        assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(of, [Some(0), Some(1), Some(0), Some(1)]);
    }
}
