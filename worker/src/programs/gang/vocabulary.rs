//! Collects the captions of a training, so that the model is compacted to the words they use.

use lethe_common::fault::Fault;
use lethe_evidence::PairRow;
use lethe_model::{Clip, Vocabulary};

use super::dataset::Dataset;
use super::texts::Texts;
use crate::programs::fault::model_fault;

pub struct Lexicon<'a> {
    whole: &'a Clip,
    ids: Vec<i64>,
}

impl<'a> Lexicon<'a> {
    pub fn new(whole: &'a Clip) -> Self {
        Self { whole, ids: Vec::new() }
    }

    /// A data set whose captions count.
    pub fn dataset(&mut self, rows: Vec<PairRow>) -> Result<Dataset, Fault> {
        let data = Dataset::new(rows, self.whole.config()).map_err(model_fault)?;
        self.ids.extend(data.token_ids().map_err(model_fault)?);
        Ok(data)
    }

    /// One caption a row, which count.
    pub fn texts<'b>(&mut self, captions: impl IntoIterator<Item = &'b str>) -> Result<Texts, Fault> {
        let texts = Texts::new(captions, self.whole.config()).map_err(model_fault)?;
        self.ids.extend(texts.token_ids().map_err(model_fault)?);
        Ok(texts)
    }

    /// The model with only the words that were counted, and where they went.
    pub fn compact(&self) -> Result<(Clip, Vocabulary), Fault> {
        self.whole.compact_vocabulary(&self.ids).map_err(model_fault)
    }
}
