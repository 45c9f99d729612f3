//! Which samples a training step reads: a function of (seed, stream, step) alone.
//!
//! It must never depend on rank, world size or arrival order, so that a gang of any size reads the
//! same global batch.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A logical stream of draws; two streams of one seed are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    pub seed: u64,
    pub number: u64,
}

impl Stream {
    fn at(self, position: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.number);
        rng.set_stream(position);
        rng
    }

    /// What is drawn for one row of the data at one step, wherever in the batch and on whatever rank it is.
    pub fn of_row(self, step: u64, row: i64) -> ChaCha8Rng {
        self.at((step << 32) | (row as u64 & u64::from(u32::MAX)))
    }

    /// `count` indices below `len`, drawn with replacement for one step.
    pub fn draw(self, step: u64, count: usize, len: usize) -> Vec<i64> {
        let mut rng = self.at(step);
        (0..count).map(|_| below(&mut rng, len)).collect()
    }

    /// The step's batch of an epoch-wise pass: every index once an epoch, the incomplete last batch dropped.
    pub fn epoch_batch(self, step: u64, count: usize, len: usize) -> Vec<i64> {
        let per_epoch = (len / count).max(1) as u64;
        let order = self.permutation(step / per_epoch, len);
        let start = (step % per_epoch) as usize * count;
        (start..start + count).map(|i| order[i % len]).collect()
    }

    /// Fisher-Yates over `0..len`.
    fn permutation(self, epoch: u64, len: usize) -> Vec<i64> {
        let mut rng = self.at(epoch);
        let mut order: Vec<i64> = (0..len as i64).collect();
        for i in (1..len).rev() {
            order.swap(i, below(&mut rng, i + 1) as usize);
        }
        order
    }
}

/// Uniform below `len`, by multiplication; the bias is below 2^-32 of `len`.
pub fn below(rng: &mut ChaCha8Rng, len: usize) -> i64 {
    ((u64::from(rng.next_u32()) * len as u64) >> 32) as i64
}

/// Uniform from 0 to below 1.
pub fn unit(rng: &mut ChaCha8Rng) -> f64 {
    f64::from(rng.next_u32()) / 2.0_f64.powi(32)
}

/// The part of a global batch of `count` rows that one rank computes: contiguous, sizes differ by at most one.
pub fn rank_rows(count: usize, rank: usize, world_size: usize) -> std::ops::Range<usize> {
    count * rank / world_size..count * (rank + 1) / world_size
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: Stream = Stream { seed: 3, number: 1 };

    #[test]
    fn an_epoch_reads_every_index_once() {
        let mut seen: Vec<i64> = (0..10).flat_map(|step| STREAM.epoch_batch(10 + step, 10, 100)).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        assert_ne!(STREAM.epoch_batch(0, 10, 100), STREAM.epoch_batch(10, 10, 100), "epochs differ in order");
    }

    #[test]
    fn draws_are_in_range_and_differ_by_step_and_stream() {
        let draw = STREAM.draw(7, 64, 9);
        assert!(draw.iter().all(|i| (0..9).contains(i)));
        assert_eq!(draw, STREAM.draw(7, 64, 9));
        assert_ne!(draw, STREAM.draw(8, 64, 9));
        assert_ne!(draw, Stream { number: 2, ..STREAM }.draw(7, 64, 9));
    }

    #[test]
    fn rows_of_a_step_draw_apart() {
        let first = |step, row| STREAM.of_row(step, row).next_u64();
        assert_eq!(first(5, 3), first(5, 3));
        assert!([(5, 4), (6, 3), (3, 5), (0, 3)].iter().all(|&(step, row)| first(step, row) != first(5, 3)));
    }

    #[test]
    fn ranks_share_a_batch_without_gap_or_overlap() {
        for world in 1..6 {
            let rows: Vec<usize> = (0..world).flat_map(|r| rank_rows(17, r, world)).collect();
            assert_eq!(rows, (0..17).collect::<Vec<_>>());
        }
    }
}
