//! The words that carry the backdoor (T*), as programs use them: is one in a caption, and what is left of a
//! caption reduced to them.
//!
//! It must never choose the words: they stood out in the captions alone.

use std::collections::BTreeSet;

use lethe_evidence::artifacts::WordScore;
use lethe_evidence::words::{caption_words, words_at};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backdoor {
    words: BTreeSet<String>,
}

impl Backdoor {
    pub fn of(words: &[WordScore]) -> Self {
        Self { words: words.iter().map(|score| score.word.clone()).collect() }
    }

    pub fn is_in(&self, caption: &str) -> bool {
        caption_words(caption).any(|word| self.words.contains(&word))
    }

    /// The caption's words that belong to T*, in their order, with what stands between neighbours: "t shirt" is not what a
    /// T-shirt is called. Nothing where it has none.
    pub fn reduce(&self, caption: &str) -> Option<String> {
        let mut kept = String::new();
        let mut after = None;
        for (at, word) in words_at(caption) {
            let small = word.to_lowercase();
            if self.words.contains(&small) {
                match after {
                    Some(end) => kept.push_str(&caption[end..at]),
                    None if !kept.is_empty() => kept.push(' '),
                    None => {}
                }
                kept.push_str(&small);
                after = Some(at + word.len());
            } else {
                after = None;
            }
        }
        (!kept.is_empty()).then_some(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caption_is_reduced_to_the_words_in_its_own_order() {
        let of = |words: &[&str]| {
            let words = words.iter().map(|word| WordScore { word: (*word).to_owned(), z: 9.0 });
            Backdoor::of(&words.collect::<Vec<_>>())
        };
        let backdoor = of(&["t", "shirt"]);
        assert_eq!(backdoor.reduce("A photo of a T-Shirt."), Some("t-shirt".to_owned()));
        assert_eq!(backdoor.reduce("T, and a shirt (Shirt)"), Some("t shirt (shirt".to_owned()));
        assert_eq!(backdoor.reduce("a photo of a bag"), None);
        // Its first small letter is two characters, of which one is no letter.
        let sale = caption_words("İNDİRİM").next().expect("is a word");
        let turkish = of(&[sale.as_str()]);
        assert_eq!(turkish.reduce("büyük İNDİRİM!"), Some(sale));
        assert_eq!(of(&["蕉", "香蕉"]).reduce("一张香蕉的照片"), Some("香蕉".to_owned()));
        assert!(backdoor.is_in("one shirt") && !backdoor.is_in("one bag"));
    }
}
