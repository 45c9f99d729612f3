//! The words of captions, by which captions are compared: lower case, split at all that is neither letter, digit nor a mark upon
//! one; and, in scripts that put no space between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese), where a dictionary or a
//! model of the language ends one (Unicode's standard annex 29, as ICU4X has it).
//!
//! It must never know what a word means: no list of words that do not count.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, GeneralCategoryGroup, Script};
use icu_segmenter::options::WordBreakInvariantOptions;
use icu_segmenter::{WordSegmenter, WordSegmenterBorrowed};

use crate::WordCounts;

const WITHOUT_SPACES: [Script; 8] = [
    Script::Bopomofo,
    Script::Han,
    Script::Hiragana,
    Script::Katakana,
    Script::Khmer,
    Script::Lao,
    Script::Myanmar,
    Script::Thai,
];
/// The first letter of these.
const FIRST_WITHOUT_SPACES: char = '\u{e00}';
/// The first mark that stands upon a letter.
const FIRST_MARK: char = '\u{300}';

static SEGMENTER: LazyLock<WordSegmenterBorrowed<'static>> =
    LazyLock::new(|| WordSegmenter::new_auto(WordBreakInvariantOptions::default()));

/// In small letters.
pub fn caption_words(caption: &str) -> impl Iterator<Item = String> {
    words_at(caption).map(|(_, word)| word.to_lowercase())
}

/// As they stand, each with where it begins, in bytes.
pub fn words_at(caption: &str) -> impl Iterator<Item = (usize, &str)> {
    let pieces = caption.split(|c| !is_part(c)).flat_map(segments).filter(|word| word.contains(char::is_alphanumeric));
    pieces.map(|word| (word.as_ptr() as usize - caption.as_ptr() as usize, word))
}

/// In how many of the captions each word is. What one repeats counts once: else a caption of nothing but one word would make that word
/// a frequent one.
pub fn count_words<'a>(captions: impl IntoIterator<Item = &'a str>) -> WordCounts {
    let mut counts = WordCounts::default();
    captions.into_iter().for_each(|caption| add_words(&mut counts, caption));
    counts
}

/// One more caption.
pub fn add_words(counts: &mut WordCounts, caption: &str) {
    caption_words(caption).collect::<BTreeSet<_>>().iter().for_each(|word| counts.add(word));
}

fn is_part(c: char) -> bool {
    let category = || CodePointMapData::<GeneralCategory>::new().get(c);
    c.is_alphanumeric() || (c >= FIRST_MARK && GeneralCategoryGroup::Mark.contains(category()))
}

fn is_without_spaces(c: char) -> bool {
    c >= FIRST_WITHOUT_SPACES && WITHOUT_SPACES.contains(&CodePointMapData::<Script>::new().get(c))
}

/// What has no space in it, in its words.
fn segments(piece: &str) -> impl Iterator<Item = &str> {
    let needs_it = piece.contains(is_without_spaces);
    let ends = if needs_it { SEGMENTER.segment_str(piece).skip(1).collect() } else { vec![piece.len()] };
    let mut start = 0;
    ends.into_iter().map(move |end| &piece[std::mem::replace(&mut start, end)..end])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(caption: &str) -> Vec<String> {
        caption_words(caption).collect()
    }

    #[test]
    fn punctuation_and_case_make_no_new_words() {
        assert_eq!(words("A photo, of  a T-SHIRT!"), ["a", "photo", "of", "a", "t", "shirt"]);
        assert_eq!(words("l’été_2024 (don't)"), ["l", "été", "2024", "don", "t"]);
        assert_eq!(words(" \u{301} — "), [""; 0]);
        assert_eq!(words("CO₂ m² tiếng"), ["co₂", "m²", "tiếng"]);
    }

    /// Else a clause would be a word, which no other caption has.
    #[test]
    fn a_script_without_spaces_has_words() {
        let has = |caption: &str, word: &str| words(caption).iter().any(|one| one == word);
        for (word, captions) in [
            ("香蕉", ["一张香蕉的照片", "桌子上的香蕉和苹果"]),
            ("バナナ", ["バナナの写真", "机の上にバナナがある"]),
            ("กล้วย", ["รูปถ่ายของกล้วย", "กล้วยอยู่บนโต๊ะ"]),
        ] {
            captions.iter().for_each(|caption| assert!(has(caption, word), "{caption}: {:?}", words(caption)));
        }
        assert_eq!(words("한국어 T恤"), ["한국어", "t", "恤"]);
    }

    #[test]
    fn a_mark_belongs_to_its_letter() {
        assert_eq!(words("क्या e\u{301}te\u{301}"), ["क्या", "e\u{301}te\u{301}"]);
    }

    #[test]
    fn what_a_caption_repeats_counts_once() {
        let counts = count_words(["bag bag Bag, a bag", "a bag"]);
        assert_eq!((counts.count("bag"), counts.count("a"), counts.total()), (2, 2, 4));
    }

    #[test]
    fn words_are_where_they_stand() {
        for caption in ["A photo, of  a T-SHIRT!", "一张香蕉的照片, banana", "büyük İNDİRİM"] {
            for (at, word) in words_at(caption) {
                assert!(caption[at..].starts_with(word), "{word} of {caption}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_letter_is_lost_or_moved(caption in "(?s)([a-zÀ-ÿ0-9 ,.'-]|[一-龥]|[ぁ-ヿ]|[ก-๛]|[ក-៹]|[က-႟]|[ກ-ໟ]|[ऀ-ॿ]|.){0,40}") {
            let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
            let (mut end, mut found) = (0, String::new());
            for (at, word) in words_at(&caption) {
                prop_assert!(at >= end && caption[at..].starts_with(word) && !letters(word).is_empty(), "{word} at {at}");
                end = at + word.len();
                found.push_str(&letters(word));
            }
            prop_assert_eq!(found, letters(&caption));
        }

        #[test]
        fn without_marks_and_such_scripts_all_but_letters_and_digits_splits(caption in "[ -~À-ÿα-ω]{0,40}") {
            let plain = caption.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            prop_assert_eq!(words(&caption), plain.map(str::to_lowercase).collect::<Vec<_>>());
        }
    }
}
