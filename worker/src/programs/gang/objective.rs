//! What a training minimises, split so that any number of ranks computes the same loss: features of
//! local rows, then each rank's part of a loss over everybody's rows.
//!
//! An objective must never talk to other ranks, and its choice of rows must never depend on them.

use std::ops::Range;

use lethe_model::Clip;
use lethe_model::error::Result;
use lethe_model::tch::Tensor;

use super::sampler::rank_rows;

/// A rank's place among those that share a batch, or one piece of it where a share is computed piece by piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    rank: usize,
    world_size: usize,
    piece: usize,
    pieces: usize,
}

impl Share {
    pub fn whole(rank: usize, world_size: usize) -> Self {
        Self { rank, world_size, piece: 0, pieces: 1 }
    }

    /// The share in so many pieces, whose rows follow each other.
    pub fn pieces(self, pieces: usize) -> impl Iterator<Item = Self> {
        (0..pieces).map(move |piece| Self { piece, pieces, ..self })
    }

    /// What is probably computed after this at a step: the next piece, or the same share a step later.
    pub fn next(self, step: u64) -> (u64, Self) {
        match self.pieces {
            1 => (step + 1, self),
            pieces => (step, Self { piece: (self.piece + 1) % pieces, ..self }),
        }
    }

    /// Whether it is the whole share or its last piece.
    pub fn is_last(self) -> bool {
        self.piece + 1 == self.pieces
    }

    /// The positions in a batch of `rows` that this is.
    pub fn range(self, rows: usize) -> Range<usize> {
        let own = rank_rows(rows, self.rank, self.world_size);
        let piece = rank_rows(own.len(), self.piece, self.pieces);
        own.start + piece.start..own.start + piece.end
    }

    /// The rows of a global batch that this rank computes.
    pub fn of(self, rows: &[i64]) -> &[i64] {
        &rows[self.range(rows.len())]
    }
}

/// Who needs a matrix of features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Every rank sees every row: they are gathered, and the slopes that ranks find for them are summed.
    Everyone,
    /// A loss of one row reads no other row.
    Own,
}

/// One matrix of features: these rows `[local, D]` of a global `[rows, D]`. Those without a graph are constants.
#[derive(Debug)]
pub struct Features {
    pub local: Tensor,
    pub rows: usize,
    pub reach: Reach,
}

impl Features {
    pub fn shared(local: Tensor, rows: usize) -> Self {
        Self { local, rows, reach: Reach::Everyone }
    }

    pub fn own(local: Tensor, rows: usize) -> Self {
        Self { local, rows, reach: Reach::Own }
    }
}

/// The matrices as a rank's part of the loss sees them, in the objective's order.
pub struct Batch<'a> {
    pub share: Share,
    /// Whole, in global order, where they reach everyone; this rank's rows elsewhere.
    pub matrices: &'a [Tensor],
    pub features: &'a [Features],
}

impl Batch<'_> {
    /// A matrix that reaches everyone, `[rows, D]`.
    pub fn whole(&self, index: usize) -> &Tensor {
        debug_assert_eq!(self.features[index].reach, Reach::Everyone, "matrix {index} was not gathered");
        &self.matrices[index]
    }

    /// This rank's rows of a matrix.
    pub fn own(&self, index: usize) -> Result<Tensor> {
        let matrix = &self.matrices[index];
        match self.features[index].reach {
            Reach::Own => Ok(matrix.shallow_clone()),
            Reach::Everyone => {
                let range = self.range(index);
                Ok(matrix.f_narrow(0, range.start, range.end - range.start)?)
            }
        }
    }

    /// The positions of this rank's rows.
    pub fn range(&self, index: usize) -> Range<i64> {
        let range = self.share.range(self.rows(index));
        range.start as i64..range.end as i64
    }

    /// The rows of the whole matrix.
    pub fn rows(&self, index: usize) -> usize {
        self.features[index].rows
    }
}

pub trait Objective {
    /// The features of this share's rows at a step; every share gives the same matrices in the same order.
    fn features(&self, clip: &Clip, step: u64, share: Share) -> Result<Vec<Features>>;

    /// This rank's part of the loss; the sum over ranks is the loss of the global batch.
    fn loss(&self, step: u64, batch: &Batch<'_>, logit_scale: &Tensor) -> Result<Tensor>;

    /// Whether the logit scale is trained too.
    fn trains_logit_scale(&self) -> bool;

    /// Samples of one global batch.
    fn batch(&self) -> u64;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_all_ranks_cover_a_batch_once_and_in_order() {
        for (rows, world_size, pieces) in [(17, 3, 2), (5, 4, 3), (1, 4, 1), (8, 1, 8)] {
            let shares = (0..world_size).flat_map(|rank| Share::whole(rank, world_size).pieces(pieces));
            let covered: Vec<usize> = shares.flat_map(|share| share.range(rows)).collect();
            assert_eq!(covered, (0..rows).collect::<Vec<_>>());
        }
    }
}
