//! Captions as features: each distinct caption is tokenised and embedded once.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use lethe_data::Tokenizer;
use lethe_model::Clip;
use lethe_model::error::Result;
use lethe_model::tch::Tensor;

/// One for the process: building it is dear.
pub fn tokenizer() -> &'static Tokenizer {
    static TOKENIZER: OnceLock<Tokenizer> = OnceLock::new();
    TOKENIZER.get_or_init(Tokenizer::new)
}

/// Distinct captions in order of first appearance, and where each one given went.
#[derive(Debug, Default)]
pub struct Distinct {
    pub captions: Vec<String>,
    pub places: Vec<i64>,
    seen: BTreeMap<String, i64>,
}

impl Distinct {
    pub fn of<'a>(captions: impl IntoIterator<Item = &'a str>) -> Self {
        let mut distinct = Self::default();
        for caption in captions {
            let place = distinct.place(caption);
            distinct.places.push(place);
        }
        distinct
    }

    fn place(&mut self, caption: &str) -> i64 {
        if let Some(&place) = self.seen.get(caption) {
            return place;
        }
        let place = self.captions.len() as i64;
        self.captions.push(caption.to_owned());
        self.seen.insert(caption.to_owned(), place);
        place
    }

    /// A caption's place, where it is one of these.
    pub fn find(&self, caption: &str) -> Option<i64> {
        self.seen.get(caption).copied()
    }

    /// `[distinct, context_length]` i64, on the CPU.
    pub fn tokens(&self, context_length: i64) -> Result<Tensor> {
        let length = context_length as usize;
        let ids: Vec<i64> = self.captions.iter().flat_map(|text| tokenizer().encode(text, length)).collect();
        Ok(Tensor::f_from_slice(&ids)?.f_view([-1, context_length])?)
    }

    /// Features of the distinct captions, `[distinct, D]`, not normalised.
    pub fn embed(&self, clip: &Clip) -> Result<Tensor> {
        clip.encode_text(&self.tokens(clip.config().text.context_length)?)
    }

    /// Features of the captions as given, `[given, D]`, not normalised.
    pub fn embed_each(&self, clip: &Clip) -> Result<Tensor> {
        Ok(self.embed(clip)?.f_index_select(0, &Tensor::f_from_slice(&self.places)?.f_to_device(clip.device())?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_captions_share_a_place() {
        let distinct = Distinct::of(["a bag", "a coat", "a bag"]);
        assert_eq!(distinct.captions, ["a bag", "a coat"]);
        assert_eq!(distinct.places, [0, 1, 0]);
    }
}
