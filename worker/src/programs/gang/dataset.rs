//! Packed pairs in memory, as an objective reads them: pixels by row, each distinct caption once.
//!
//! It must never reorder rows: an index means the same sample on every rank.

use lethe_evidence::PairRow;
use lethe_model::error::Result;
use lethe_model::pixels::normalized;
use lethe_model::tch::{Device, Kind, Tensor};
use lethe_model::{Clip, ModelConfig, Vocabulary};

use super::texts::{Texts, none};
use crate::programs::pictures::Pictures;

pub struct Dataset {
    pictures: Pictures,
    texts: Texts,
}

impl Dataset {
    /// Rows in the order given; they are the same on every rank.
    pub fn new(rows: Vec<PairRow>, config: &ModelConfig) -> Result<Self> {
        let texts = Texts::new(rows.iter().map(|row| row.caption.as_str()), config)?;
        let pictures = Pictures::new(rows.into_iter().map(|row| row.pixels).collect());
        Ok(Self { pictures, texts })
    }

    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Every token id that occurs.
    pub fn token_ids(&self) -> Result<Vec<i64>> {
        self.texts.token_ids()
    }

    /// The same data in a compacted vocabulary.
    pub fn map(self, vocabulary: &Vocabulary) -> Result<Self> {
        Ok(Self { texts: self.texts.map(vocabulary)?, ..self })
    }

    /// The image features of some rows, `[rows, D]`.
    pub fn image_features(&self, clip: &Clip, rows: &[i64]) -> Result<Tensor> {
        if rows.is_empty() {
            return none(clip);
        }
        encode(clip, &self.pictures.pixels(rows, clip)?)
    }

    /// The pictures of some rows as bytes `[rows, S, S, 3]`, on the model's device.
    pub fn images(&self, clip: &Clip, rows: &[i64]) -> Result<Tensor> {
        if rows.is_empty() {
            let side = clip.config().vision.image_size;
            return Ok(Tensor::f_zeros([0, side, side, 3], (Kind::Uint8, clip.device()))?);
        }
        self.pictures.images(rows, clip)
    }

    /// Says which rows' image features are wanted next.
    pub fn expect(&self, clip: &Clip, rows: &[i64]) {
        if !rows.is_empty() {
            self.pictures.expect(rows.to_vec(), clip);
        }
    }

    /// The caption features of some rows, `[rows, D]`; equal captions are embedded once.
    pub fn text_features(&self, clip: &Clip, rows: &[i64]) -> Result<Tensor> {
        self.texts.features(clip, rows)
    }

    /// The distinct captions, in the order that [`Dataset::captions_of`] counts them.
    pub fn captions(&self) -> impl Iterator<Item = &str> {
        self.texts.captions()
    }

    /// Which caption each row has, an index that equal captions share.
    pub fn captions_of(&self, rows: &[i64]) -> Vec<i64> {
        self.texts.captions_of(rows)
    }
}

/// The image features of pictures as bytes, or of what was made of them, `[rows, D]`.
pub fn features_of(clip: &Clip, images: &Tensor) -> Result<Tensor> {
    encode(clip, &normalized(images, &clip.config().normalization)?)
}

/// The image features of normalised pixels, `[rows, D]`; a share may have no row.
pub fn encode(clip: &Clip, pixels: &Tensor) -> Result<Tensor> {
    if pixels.size()[0] == 0 {
        return none(clip);
    }
    clip.encode_image(&pixels.f_to_kind(clip.kind())?)
}

/// A mask `[rows]`, bool.
pub fn mask(of: impl Iterator<Item = bool>, device: Device) -> Result<Tensor> {
    let bits: Vec<i64> = of.map(i64::from).collect();
    Ok(Tensor::f_from_slice(&bits)?.f_to_kind(Kind::Bool)?.f_to_device(device)?)
}
