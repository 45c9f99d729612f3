//! Captions of rows in memory, each distinct one once, as tokens and as features.
//!
//! It must never reorder rows: an index means the same sample on every rank.

use lethe_model::error::Result;
use lethe_model::tch::Tensor;
use lethe_model::{Clip, ModelConfig, Vocabulary};

use crate::programs::captions::Distinct;

pub struct Texts {
    captions: Distinct,
    /// `[distinct captions, context_length]` on the CPU, in the model's full vocabulary until [`Texts::map`].
    tokens: Tensor,
}

impl Texts {
    /// One caption a row.
    pub fn new<'a>(captions: impl IntoIterator<Item = &'a str>, config: &ModelConfig) -> Result<Self> {
        let captions = Distinct::of(captions);
        let tokens = captions.tokens(config.text.context_length)?;
        Ok(Self { captions, tokens })
    }

    /// Every token id that occurs.
    pub fn token_ids(&self) -> Result<Vec<i64>> {
        Ok(Vec::<i64>::try_from(&self.tokens.f_reshape([-1])?)?)
    }

    /// The same captions in a compacted vocabulary.
    pub fn map(mut self, vocabulary: &Vocabulary) -> Result<Self> {
        self.tokens = vocabulary.map(&self.tokens)?;
        Ok(self)
    }

    /// The features of some rows' captions, `[rows, D]`; equal captions are embedded once.
    pub fn features(&self, clip: &Clip, rows: &[i64]) -> Result<Tensor> {
        if rows.is_empty() {
            return none(clip);
        }
        let captions = self.captions_of(rows);
        let mut distinct = captions.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let place = |caption| distinct.partition_point(|&other| other < caption) as i64;
        let places: Vec<i64> = captions.into_iter().map(place).collect();
        let features = clip.encode_text(&self.tokens.f_index_select(0, &Tensor::f_from_slice(&distinct)?)?)?;
        Ok(features.f_index_select(0, &Tensor::f_from_slice(&places)?.f_to_device(clip.device())?)?)
    }

    /// The distinct captions, in the order that [`Texts::captions_of`] counts them.
    pub fn captions(&self) -> impl Iterator<Item = &str> {
        self.captions.captions.iter().map(String::as_str)
    }

    /// Which caption each row has, an index that equal captions share.
    pub fn captions_of(&self, rows: &[i64]) -> Vec<i64> {
        rows.iter().map(|&row| self.captions.places[row as usize]).collect()
    }
}

/// The features of no row: a share may have none, where there are more ranks than rows.
pub fn none(clip: &Clip) -> Result<Tensor> {
    Ok(Tensor::f_zeros([0, clip.config().embed_dim], (clip.kind(), clip.device()))?)
}
