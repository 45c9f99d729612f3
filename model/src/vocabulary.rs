//! A model whose word table has only the rows that a training's captions use.
//!
//! It must never reorder words: the end of text is found as a row's greatest id, so kept ids keep their order.
//!
//! Why: AdamW touches every number of the table at every step, and a table of 49,408 rows outweighs a small model. A
//! row that no caption uses has gradient and moments zero, so plain AdamW would only multiply it by
//! 1 - rate * weight_decay. Without weight decay training the compacted model is therefore exactly the same;
//! with it the unused rows keep their values instead of shrinking, and everything else is the same. All ranks must
//! compact with the same rows.

use tch::{Kind, Tensor};

use crate::clip::Clip;
use crate::error::{ModelError, Result};

const TABLE: &str = "token_embedding.weight";
const PADDING: i64 = 0;

/// The rows of the full table that a compacted model has: row i of the small table is word `rows[i]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    /// Ascending, no doubles.
    rows: Vec<i64>,
}

impl Vocabulary {
    pub fn rows(&self) -> &[i64] {
        &self.rows
    }

    /// Word ids `[B, L]` i64 of the full vocabulary to those of the compacted one.
    ///
    /// # Errors
    /// `NotInVocabulary` for a word whose row was left out.
    pub fn map(&self, tokens: &Tensor) -> Result<Tensor> {
        let rows = Tensor::f_from_slice(&self.rows)?.f_to_device(tokens.device())?;
        let found = rows.f_searchsorted(tokens, false, false, "left", None::<&Tensor>)?;
        let _ = found;
        todo!()
    }
}

impl Clip {
    /// The model with only the words of `tokens` (any order, doubles welcome) and padding, start and end of text.
    ///
    /// The result has a buffer of its own; [`Clip::expand_vocabulary`] brings its training home.
    pub fn compact_vocabulary(&self, tokens: &[i64]) -> Result<(Self, Vocabulary)> {
        let _ = (tokens, TABLE, PADDING, Kind::Int64, ModelError::Pickle);
        todo!()
    }

    /// The trained compacted model with the full table again: rows that were left out are `self`'s, untouched.
    pub fn expand_vocabulary(&self, trained: &Self, vocabulary: &Vocabulary) -> Result<Self> {
        let _ = (trained, vocabulary);
        todo!()
    }
}
