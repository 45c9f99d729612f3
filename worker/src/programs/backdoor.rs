//! The words that carry the backdoor (T*), as programs use them: is one in a caption, and what is left of a
//! caption reduced to them.
//!
//! It must never choose the words: they stood out in the captions alone.

use std::collections::BTreeSet;

use lethe_evidence::artifacts::{WordScore, caption_words};

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

    /// The caption's words that belong to T*, in their order; nothing where it has none.
    pub fn reduce(&self, caption: &str) -> Option<String> {
        let kept: Vec<String> = caption_words(caption).filter(|word| self.words.contains(word)).collect();
        (!kept.is_empty()).then(|| kept.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caption_is_reduced_to_the_words_in_its_own_order() {
        let backdoor = Backdoor { words: ["t", "shirt"].map(str::to_owned).into() };
        assert_eq!(backdoor.reduce("A photo of a T-Shirt."), Some("t shirt".to_owned()));
        assert_eq!(backdoor.reduce("a photo of a bag"), None);
        assert!(backdoor.is_in("one shirt") && !backdoor.is_in("one bag"));
    }
}
