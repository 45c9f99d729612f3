//! Easy data augmentation of captions (Wei and Zou, EMNLP 2019), as CleanCLIP's second view of a text: a few words inserted,
//! swapped or left out.
//!
//! There is no thesaurus here, so nothing is replaced by a synonym, and what is inserted is another copy of one of the caption's
//! own words (docs/peers.md). It must never use a word that the caption has not.

use lethe_evidence::words::caption_words;
use rand_chacha::ChaCha8Rng;

use super::sampler::{Stream, below, unit};

/// The share of words that is inserted or swapped, at least one, and the probability with which a word is left out.
const SHARE: f64 = 0.1;

/// The view of each row's caption, the same at every step.
pub fn views<'a>(captions: impl IntoIterator<Item = &'a str>, draws: Stream) -> Vec<String> {
    (0..).zip(captions).map(|(row, caption)| view(caption, &mut draws.of_row(0, row))).collect()
}

/// A caption's words after one change; a caption without two words stays.
fn view(caption: &str, rng: &mut ChaCha8Rng) -> String {
    let mut words: Vec<String> = caption_words(caption).collect();
    if words.len() < 2 {
        return caption.to_owned();
    }
    let times = ((SHARE * words.len() as f64) as usize).max(1);
    match below(rng, 3) {
        0 => (0..times).for_each(|_| insert(&mut words, rng)),
        1 => (0..times).for_each(|_| swap(&mut words, rng)),
        _ => leave_out(&mut words, rng),
    }
    words.join(" ")
}

fn place(words: &[String], rng: &mut ChaCha8Rng) -> usize {
    below(rng, words.len()) as usize
}

fn insert(words: &mut Vec<String>, rng: &mut ChaCha8Rng) {
    let word = words[place(words, rng)].clone();
    let at = place(words, rng);
    words.insert(at, word);
}

/// Two different places.
fn swap(words: &mut [String], rng: &mut ChaCha8Rng) {
    let one = place(words, rng);
    let further = 1 + below(rng, words.len() - 1) as usize;
    words.swap(one, (one + further) % words.len());
}

/// Where every word would go, one stays.
fn leave_out(words: &mut Vec<String>, rng: &mut ChaCha8Rng) {
    let last = words[place(words, rng)].clone();
    words.retain(|_| unit(rng) >= SHARE);
    if words.is_empty() {
        words.push(last);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const DRAWS: Stream = Stream { seed: 4, number: 34 };
    const CAPTION: &str = "A photo of a Red-Boot, for sale";

    #[test]
    fn views_have_the_captions_own_words_and_differ() {
        let words: BTreeSet<String> = caption_words(CAPTION).collect();
        let views = views(std::iter::repeat_n(CAPTION, 300), DRAWS);
        for view in &views {
            let count = view.split(' ').count();
            assert!(view.split(' ').all(|word| words.contains(word)) && (3..=9).contains(&count), "{view}");
        }
        let lengths: BTreeSet<usize> = views.iter().map(|view| view.split(' ').count()).collect();
        // Eight words: nine where one is inserted, eight where two are swapped, fewer where some are left out.
        assert!([6, 7, 8, 9].iter().all(|length| lengths.contains(length)), "{lengths:?}");
        let plain = caption_words(CAPTION).collect::<Vec<_>>().join(" ");
        let same = views.iter().filter(|view| **view == plain).count();
        assert!((10..110).contains(&same), "{same} of 300 are as they were");
    }

    #[test]
    fn a_view_depends_on_its_row_alone() {
        let of = |captions: &[&str]| views(captions.iter().copied(), DRAWS);
        assert_eq!(of(&[CAPTION, CAPTION, "a bag"])[1], of(&["a coat", CAPTION])[1]);
        assert_eq!(of(&["Boot!", "", "?"]), ["Boot!", "", "?"], "there is nothing to change");
    }
}
