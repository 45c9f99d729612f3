//! Packed pairs in memory, as an objective reads them: pixels by row, each distinct caption once.
//!
//! It must never reorder rows: an index means the same sample on every rank.

use lethe_evidence::PairRow;
use lethe_model::error::Result;
use lethe_model::tch::{Device, Kind, Tensor};
use lethe_model::{Clip, ModelConfig, Vocabulary};

use crate::programs::captions::Distinct;
use crate::programs::pictures::Pictures;

pub struct Dataset {
    config: ModelConfig,
    pictures: Pictures,
    captions: Distinct,
    /// `[distinct captions, context_length]` on the CPU, in the model's full vocabulary until [`Dataset::map`].
    tokens: Tensor,
}

impl Dataset {
    /// Rows in the order given; they are the same on every rank.
    pub fn new(rows: Vec<PairRow>, config: &ModelConfig) -> Result<Self> {
        let captions = Distinct::of(rows.iter().map(|row| row.caption.as_str()));
        let tokens = captions.tokens(config.text.context_length)?;
        let pictures = Pictures::new(rows.into_iter().map(|row| row.pixels).collect());
        Ok(Self { config: config.clone(), pictures, captions, tokens })
    }

    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Every token id that occurs.
    pub fn token_ids(&self) -> Result<Vec<i64>> {
        Ok(Vec::<i64>::try_from(&self.tokens.f_reshape([-1])?)?)
    }

    /// The same data in a compacted vocabulary.
    pub fn map(mut self, vocabulary: &Vocabulary) -> Result<Self> {
        self.tokens = vocabulary.map(&self.tokens)?;
        Ok(self)
    }

    /// The image features of some rows, `[rows, D]`.
    pub fn image_features(&self, clip: &Clip, rows: &[i64]) -> Result<Tensor> {
        if rows.is_empty() {
            return self.none(clip);
        }
        clip.encode_image(&self.pictures.pixels(rows, clip)?.f_to_kind(clip.kind())?)
    }

    /// Says which rows' image features are wanted next.
    pub fn expect(&self, clip: &Clip, rows: &[i64]) {
        if !rows.is_empty() {
            self.pictures.expect(rows.to_vec(), clip);
        }
    }

    /// A share may have no row, where there are more ranks than rows.
    fn none(&self, clip: &Clip) -> Result<Tensor> {
        Ok(Tensor::f_zeros([0, self.config.embed_dim], (clip.kind(), clip.device()))?)
    }

    /// The caption features of some rows, `[rows, D]`; equal captions are embedded once.
    pub fn text_features(&self, clip: &Clip, rows: &[i64]) -> Result<Tensor> {
        if rows.is_empty() {
            return self.none(clip);
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

    /// The distinct captions, in the order that [`Dataset::captions_of`] counts them.
    pub fn captions(&self) -> impl Iterator<Item = &str> {
        self.captions.captions.iter().map(String::as_str)
    }

    /// Which caption each row has, an index that equal captions share.
    pub fn captions_of(&self, rows: &[i64]) -> Vec<i64> {
        rows.iter().map(|&row| self.captions.places[row as usize]).collect()
    }
}

/// A mask `[rows]`, bool.
pub fn mask(of: impl Iterator<Item = bool>, device: Device) -> Result<Tensor> {
    let bits: Vec<i64> = of.map(i64::from).collect();
    Ok(Tensor::f_from_slice(&bits)?.f_to_kind(Kind::Bool)?.f_to_device(device)?)
}
