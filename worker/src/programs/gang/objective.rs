//! What a training minimises, split so that any number of ranks computes the same loss: features of
//! local rows, then a loss of everybody's features.
//!
//! An objective must never talk to other ranks, and its choice of rows must never depend on them.

use lethe_model::Clip;
use lethe_model::error::Result;
use lethe_model::tch::Tensor;

use super::sampler::rank_rows;

/// A rank's place among those that share a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    pub rank: usize,
    pub world_size: usize,
}

impl Share {
    /// The rows of a global batch that this rank computes.
    pub fn of<'r>(&self, rows: &'r [i64]) -> &'r [i64] {
        &rows[rank_rows(rows.len(), self.rank, self.world_size)]
    }
}

/// One matrix of features: this rank's rows `[local, D]` of a global `[rows, D]`. Those without a graph are constants.
#[derive(Debug)]
pub struct Features {
    pub local: Tensor,
    pub rows: usize,
}

pub trait Objective {
    /// The features of this rank's rows at a step; every rank gives the same matrices in the same order.
    fn features(&self, clip: &Clip, step: u64, share: Share) -> Result<Vec<Features>>;

    /// The loss of the gathered matrices, rows in global order; the same on every rank.
    fn loss(&self, step: u64, gathered: &[Tensor], logit_scale: &Tensor) -> Result<Tensor>;

    /// Whether the logit scale is trained too.
    fn trains_logit_scale(&self) -> bool;

    /// Samples of one global batch.
    fn batch(&self) -> u64;
}
