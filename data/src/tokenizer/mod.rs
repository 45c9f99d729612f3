//! CLIP's byte-pair tokenizer, equal to open_clip's `SimpleTokenizer` with its default cleaning.
//!
//! It must never see a caption that was not cleaned as open_clip cleans it: every text passes through
//! [`clean`](clean::clean) first.

use std::ops::Range;

use instant_clip_tokenizer::Token;
use regex::Regex;

mod clean;
mod html;
mod mojibake;
mod repair;

/// What open_clip takes for a word: letters in a row, one digit, or other signs in a row. The sign U+0345 is neither: of a
/// set that is negated, Python leaves out what has a letter in another case, and of one that is not, it adds nothing.
const PIECES: &str =
    concat!(r"(?i)<start_of_text>|<end_of_text>|", r"'s|'t|'re|'ve|'m|'ll|'d|(?-i:[\p{L}]+)|[\p{N}]|[^\s\p{L}\p{N}]+");
/// The only piece that the pairs' own rules would split once more, and its pairs.
const LONG_S: (&str, [i64; 3]) = ("'\u{17F}", [6, 129, 379]);

/// Building one is dear; encoding takes `&self`.
pub struct Tokenizer {
    pairs: instant_clip_tokenizer::Tokenizer,
    pieces: Regex,
}

/// One piece of a cleaned, lower-case caption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub text: String,
    /// Its places in the encoded caption, the start token being 0. They may lie beyond a context
    /// length that cuts the caption.
    pub tokens: Range<usize>,
}

impl Tokenizer {
    /// With the vocabulary of OpenAI's CLIP (49,408 tokens), which the dependency carries.
    #[expect(clippy::new_without_default, reason = "half a second of work should be seen")]
    pub fn new() -> Self {
        Self {
            pairs: instant_clip_tokenizer::Tokenizer::new(),
            pieces: Regex::new(PIECES).expect("is a regular expression"),
        }
    }

    /// `context_length` ids: start, the caption, end, zeros; where the caption is too long it is cut
    /// and the end token stays last.
    pub fn encode(&self, text: &str, context_length: usize) -> Vec<i64> {
        self.encode_clean(&clean::clean(text), context_length)
    }

    /// The caption's words in order, with the tokens that each has in [`Self::encode`].
    pub fn words(&self, text: &str) -> Vec<Word> {
        let mut end = 1;
        let word = |piece: regex::Match<'_>| {
            let start = end;
            end += self.ids(piece.as_str()).len();
            Word { text: piece.as_str().to_owned(), tokens: start..end }
        };
        self.pieces.find_iter(&clean::clean(text)).map(word).collect()
    }

    /// As [`Self::encode`], of some of a caption's words: all of them give the caption's own ids.
    pub fn encode_words(&self, words: &[&str], context_length: usize) -> Vec<i64> {
        let ids = words.iter().flat_map(|word| self.pieces.find_iter(word)).flat_map(|piece| self.ids(piece.as_str()));
        self.frame(ids.collect(), context_length)
    }

    fn encode_clean(&self, text: &str, context_length: usize) -> Vec<i64> {
        self.frame(self.pieces.find_iter(text).flat_map(|piece| self.ids(piece.as_str())).collect(), context_length)
    }

    fn ids(&self, piece: &str) -> Vec<i64> {
        if piece == LONG_S.0 {
            return LONG_S.1.to_vec();
        }
        let mut tokens = Vec::new();
        self.pairs.encode(piece, &mut tokens);
        tokens.into_iter().map(id).collect()
    }

    fn frame(&self, caption: Vec<i64>, context_length: usize) -> Vec<i64> {
        let end = id(self.pairs.end_of_text());
        let mut ids = vec![id(self.pairs.start_of_text())];
        ids.extend(caption);
        ids.push(end);
        if ids.len() > context_length {
            ids.truncate(context_length);
            ids.last_mut().into_iter().for_each(|last| *last = end);
        }
        ids.resize(context_length, 0);
        ids
    }
}

fn id(token: Token) -> i64 {
    i64::from(token.to_u16())
}

#[cfg(test)]
mod many_tests;
#[cfg(test)]
mod tests;
