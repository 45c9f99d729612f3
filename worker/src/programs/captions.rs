//! Captions as features: each distinct caption is tokenised and embedded once, beside others about as long as it is.
//!
//! It must never let the order in which captions are embedded show in what it gives.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use lethe_data::Tokenizer;
use lethe_model::Clip;
use lethe_model::error::Result;
use lethe_model::tch::Tensor;

/// Captions whose numbers of tokens fall into one stretch of this many are embedded together.
const GROUP_TOKENS: i64 = 8;

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
    ///
    /// Padding behind the longest caption of a batch is cut, which changes nothing: attention is causal. So that few rows
    /// are longer than they need to be, captions go to the model in groups of about the same length.
    pub fn embed(&self, clip: &Clip) -> Result<Tensor> {
        let tokens = self.tokens(clip.config().text.context_length)?;
        let groups = by_length(&lengths(&tokens)?);
        if groups.len() < 2 {
            return clip.encode_text(&tokens);
        }
        let embed = |group: &Vec<i64>| clip.encode_text(&tokens.f_index_select(0, &Tensor::f_from_slice(group)?)?);
        let features = groups.iter().map(embed).collect::<Result<Vec<_>>>()?;
        let order = Tensor::f_from_slice(&groups.concat())?.f_argsort(0, false)?;
        Ok(Tensor::f_cat(&features, 0)?.f_index_select(0, &order.f_to_device(clip.device())?)?)
    }

    /// Features of the captions as given, `[given, D]`, not normalised.
    pub fn embed_each(&self, clip: &Clip) -> Result<Tensor> {
        Ok(self.embed(clip)?.f_index_select(0, &Tensor::f_from_slice(&self.places)?.f_to_device(clip.device())?)?)
    }
}

/// Tokens of each row up to its end of text, the greatest id.
fn lengths(tokens: &Tensor) -> Result<Vec<i64>> {
    Ok(Vec::try_from(tokens.f_argmax(1, false)?.f_add_scalar(1)?)?)
}

/// Rows by length, the shortest group first, each group's rows in their order.
fn by_length(lengths: &[i64]) -> Vec<Vec<i64>> {
    let mut groups: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for (row, length) in (0..).zip(lengths) {
        groups.entry((length - 1) / GROUP_TOKENS).or_default().push(row);
    }
    groups.into_values().collect()
}

#[cfg(test)]
mod tests {
    use lethe_model::tch::{self, Kind};

    use super::*;
    use crate::programs::tiny;

    #[test]
    fn captions_of_all_lengths_give_what_each_gives_alone() {
        let _guard = tch::no_grad_guard();
        let clip = tiny::vit();
        let captions = [9, 1, 40, 2, 200, 0, 17, 3].map(|words| "a bag of coats ".repeat(words));
        let all = Distinct::of(captions.iter().map(String::as_str));
        assert!(by_length(&lengths(&all.tokens(77).expect("are tokens")).expect("are lengths")).len() > 3);
        let together = all.embed_each(&clip).expect("embeds");
        for (row, caption) in (0..).zip(&captions) {
            let alone = Distinct::of([caption.as_str()]).embed(&clip).expect("embeds");
            let off = (together.get(row) - alone.get(0)).abs().max().double_value(&[]);
            assert!(off < 1e-6 && alone.abs().sum(Kind::Float).double_value(&[]) > 0.0, "{caption:?}: {off}");
        }
    }

    #[test]
    fn equal_captions_share_a_place() {
        let distinct = Distinct::of(["a bag", "a coat", "a bag"]);
        assert_eq!(distinct.captions, ["a bag", "a coat"]);
        assert_eq!(distinct.places, [0, 1, 0]);
    }
}
