//! A model whose word table has only the rows that a training's captions use.
//!
//! It must never reorder words: the end of text is found as a row's greatest id, so kept ids keep their order.
//!
//! Why: AdamW touches every number of the table at every step, and a table of 49,408 rows outweighs a small model. A
//! row that no caption uses has gradient and moments zero, so plain AdamW would only multiply it by
//! 1 - rate * weight_decay. Without weight decay training the compacted model is therefore exactly the same;
//! with it the unused rows keep their values instead of shrinking, and everything else is the same. All ranks must
//! compact with the same rows.

use std::collections::BTreeSet;

use tch::Tensor;

use crate::clip::{Clip, Param};
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
        let place = tokens.f_bucketize(&rows, false, false)?.f_clamp_max(self.rows.len() as i64 - 1)?;
        let strange = tokens.f_masked_select(&rows.f_take(&place)?.f_ne_tensor(tokens)?)?;
        if strange.numel() > 0 {
            let token = strange.f_int64_value(&[0])?;
            return Err(ModelError::NotInVocabulary { token, rows: self.rows.len() });
        }
        Ok(place)
    }

    fn index(&self, clip: &Clip) -> Result<Tensor> {
        Ok(Tensor::f_from_slice(&self.rows)?.f_to_device(clip.device())?)
    }
}

impl Clip {
    /// The model with only the words of `tokens` (any order, doubles welcome) and padding, start and end of text.
    ///
    /// The result has a buffer of its own; [`Clip::expand_vocabulary`] brings its training home.
    ///
    /// # Errors
    /// `OutOfRange` for a token that is no row of the vocabulary.
    pub fn compact_vocabulary(&self, tokens: &[i64]) -> Result<(Self, Vocabulary)> {
        let vocabulary = Vocabulary { rows: self.rows(tokens)? };
        let mut config = self.config().clone();
        config.text.vocab_size = vocabulary.rows.len() as i64;
        let mut compact = Self::blank(&config, (self.kind(), self.device()))?;
        compact.be_like(self)?;
        for (to, from) in compact.params().iter().zip(self.params()) {
            let from_rows = match is_table(from) {
                true => from.tensor.f_detach()?.f_index_select(0, &vocabulary.index(self)?)?,
                false => from.tensor.f_detach()?,
            };
            to.tensor.f_detach()?.f_copy_(&from_rows)?;
        }
        Ok((compact, vocabulary))
    }

    /// The trained compacted model with the full table again: rows that were left out are `self`'s, untouched.
    pub fn expand_vocabulary(&self, trained: &Self, vocabulary: &Vocabulary) -> Result<Self> {
        let whole = self.duplicate()?;
        for (to, from) in whole.params().iter().zip(trained.params()) {
            let (mut to_values, from_values) = (to.tensor.f_detach()?, from.tensor.f_detach()?);
            if is_table(from) {
                let _ = to_values.f_index_copy_(0, &vocabulary.index(self)?, &from_values)?;
            } else {
                to_values.f_copy_(&from_values)?;
            }
        }
        Ok(whole)
    }

    /// The rows that `tokens` and every caption need.
    fn rows(&self, tokens: &[i64]) -> Result<Vec<i64>> {
        let size = self.config().text.vocab_size;
        let special = [PADDING, size - 2, size - 1];
        let rows: BTreeSet<i64> = tokens.iter().copied().chain(special).filter(|row| *row >= 0).collect();
        match tokens.iter().find(|token| !(0..size).contains(*token)) {
            None => Ok(rows.into_iter().collect()),
            Some(token) => {
                let want = format!("0 to {}", size - 1);
                Err(ModelError::OutOfRange { what: "token ids", have: token.to_string(), want })
            }
        }
    }
}

fn is_table(param: &Param) -> bool {
    param.name == TABLE
}
