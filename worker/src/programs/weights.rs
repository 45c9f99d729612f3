//! What suspects are matched by: how far s falls by the suspect model without each word of the caption.
//!
//! It must never ask a model that was trained here: what the given one matches by is the question.

use std::collections::BTreeSet;

use lethe_common::fault::Fault;
use lethe_evidence::PairRow;
use lethe_evidence::words::{caption_words, words_at};
use lethe_model::error::Result as ModelResult;
use lethe_model::tch::{self, Tensor};
use lethe_model::{Clip, loss};

use super::captions::Distinct;
use super::fault::model_fault;
use super::pictures::pixels_of;
use super::rows::by_rows;
use super::tensors::values;

/// Of each pair the words with their falls. A caption's words are those that the model can read: it takes no more tokens than
/// `context_length`.
pub fn word_falls(clip: &Clip, pairs: &[PairRow], at_once: usize) -> Result<Vec<Vec<(String, f32)>>, Fault> {
    let _guard = tch::no_grad_guard();
    let most = clip.config().text.context_length as usize;
    let read: Vec<&str> = pairs.iter().map(|row| first_words(&row.caption, most)).collect();
    let words: Vec<Vec<String>> = read.iter().map(|caption| distinct_words(caption)).collect();
    let (mut captions, mut of) = (Vec::new(), Vec::new());
    for ((caption, words), place) in read.into_iter().zip(&words).zip(0_i64..) {
        captions.push(caption.to_owned());
        captions.extend(words.iter().map(|word| without(caption, word)));
        of.extend(std::iter::repeat_n(place, words.len() + 1));
    }
    let similarities = || -> ModelResult<Tensor> {
        let image = clip.encode_image(&pixels_of(pairs.iter().map(|row| row.pixels.as_slice()), clip)?)?;
        by_rows(captions.len(), at_once, |some| {
            let text = Distinct::of(captions[some.clone()].iter().map(String::as_str)).embed_each(clip)?;
            let of = Tensor::f_from_slice(&of[some])?.f_to_device(clip.device())?;
            loss::similarity(&image.f_index_select(0, &of)?, &text)
        })
    };
    let mut similarities = values(&similarities().map_err(model_fault)?)?.into_iter();
    let falls = |words: Vec<String>| {
        let whole = similarities.next().unwrap_or(f32::NAN);
        words.into_iter().zip(similarities.by_ref()).map(|(word, left)| (word, whole - left)).collect()
    };
    Ok(words.into_iter().map(falls).collect())
}

/// The caption up to so many words: a word has a token at least.
fn first_words(caption: &str, most: usize) -> &str {
    words_at(caption).nth(most).map_or(caption, |(at, _)| &caption[..at])
}

/// In small letters.
fn distinct_words(caption: &str) -> Vec<String> {
    caption_words(caption).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The caption without the word, wherever it stands.
fn without(caption: &str, left_out: &str) -> String {
    let (mut kept, mut from) = (String::with_capacity(caption.len()), 0);
    for (at, word) in words_at(caption).filter(|(_, word)| word.to_lowercase() == left_out) {
        kept.push_str(&caption[from..at]);
        from = at + word.len();
    }
    kept.push_str(&caption[from..]);
    kept
}

#[cfg(test)]
mod tests {
    use lethe_evidence::PairRole;

    use super::*;
    use crate::programs::tiny;

    fn row(caption: &str, shade: u8) -> PairRow {
        let side = tiny::vit().config().vision.image_size;
        PairRow {
            shard: 0,
            key: caption.to_owned(),
            content: String::new(),
            caption: caption.to_owned(),
            role: PairRole::Suspect,
            pixels: (0..side * side * 3).map(|at| (at * at * 31) as u8 ^ shade).collect(),
            values: Vec::new(),
        }
    }

    #[test]
    fn a_word_is_left_out_wherever_it_stands() {
        assert_eq!(without("A bag, my bag: a handbag", "bag"), "A , my : a handbag");
        assert_eq!(without("一张香蕉的照片", "香蕉"), "一张的照片");
        assert_eq!(distinct_words(first_words("A bag, my bag: a handbag", 3)), ["a", "bag", "my"]);
        assert_eq!(first_words("A bag, my bag.", 4), "A bag, my bag.");
    }

    /// By the definition, pair by pair.
    #[test]
    fn falls_are_those_of_each_caption_however_few_at_once() {
        let _guard = tch::no_grad_guard();
        let clip = tiny::vit();
        let rows = [row("a red bag", 0), row("two boots, and two hats", 90), row("...", 3)];
        for at_once in [1_000, 2] {
            let found = word_falls(&clip, &rows, at_once).expect("embeds");
            assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [3, 4, 0]);
            for (row, found) in rows.iter().zip(found) {
                let similarity = |caption: &str| {
                    let pixels = pixels_of([row.pixels.as_slice()].into_iter(), &clip).expect("are pixels");
                    let text = Distinct::of([caption]).embed(&clip).expect("embeds");
                    let image = clip.encode_image(&pixels).expect("embeds");
                    loss::similarity(&image, &text).expect("compares").double_value(&[0])
                };
                for (word, fall) in found {
                    let expected = similarity(&row.caption) - similarity(&without(&row.caption, &word));
                    assert!((f64::from(fall) - expected).abs() < 1e-5, "{word}: {fall}, not {expected}");
                    assert!(expected.abs() > 1e-4, "{word} does nothing");
                }
            }
        }
    }
}
