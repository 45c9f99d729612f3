//! From a signal's value to its rank among a reference sample, and from many ranks to one score.
//!
//! It must never return 0 or 1, so that no single signal can decide alone.

use crate::error::EvidenceError;

/// The empirical distribution of a reference sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Ecdf {
    sorted: Vec<f32>,
}

impl Ecdf {
    /// Errors: an empty sample, or a NaN in it.
    pub fn new(mut sample: Vec<f32>) -> Result<Self, EvidenceError> {
        if sample.is_empty() {
            return Err(EvidenceError::Reference { problem: "it is empty" });
        }
        if sample.iter().any(|x| x.is_nan()) {
            return Err(EvidenceError::Reference { problem: "it contains NaN" });
        }
        sample.sort_by(f32::total_cmp);
        Ok(Self { sorted: sample })
    }

    /// The share of the reference below `x`, equal values counted half, within [1/2n, 1 - 1/2n]; so
    /// the member at position `pos` has (pos + 1/2)/n. A NaN ranks in the middle: it tells nothing.
    pub fn rank(&self, x: f32) -> f64 {
        if x.is_nan() {
            return 0.5;
        }
        let below = self.sorted.partition_point(|r| *r < x);
        let through = self.sorted.partition_point(|r| *r <= x);
        let n = self.sorted.len() as f64;
        ((below + through) as f64 / (2.0 * n)).clamp(0.5 / n, 1.0 - 0.5 / n)
    }
}

/// Fisher's combination of ranks oriented so that 1 is suspicious, each with its weight (Good 1955): the sum of
/// -weight ln(1 - rank). The rank is the share of the reference below the value, so 1 - rank acts as a p-value
/// (R. A. Fisher 1925).
pub fn fisher(weighted: impl IntoIterator<Item = (f64, f64)>) -> f32 {
    weighted.into_iter().map(|(weight, rank)| -weight * (1.0 - rank).ln()).sum::<f64>() as f32
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranks_are_mid_ranks() {
        let ecdf = Ecdf::new(vec![3.0, 1.0, 2.0, 2.0]).expect("is a sample");
        for (x, rank) in [(0.0, 0.125), (1.0, 0.125), (1.5, 0.25), (2.0, 0.5), (3.0, 0.875), (9.0, 0.875)] {
            assert_eq!(ecdf.rank(x), rank, "{x}");
        }
    }

    #[test]
    fn a_sample_without_order_is_refused() {
        assert!(Ecdf::new(vec![]).is_err() && Ecdf::new(vec![1.0, f32::NAN]).is_err());
    }

    #[test]
    fn fisher_adds_logs() {
        let expected = -(0.5_f64.ln()) - (0.01_f64.ln());
        assert!((f64::from(fisher([(1.0, 0.5), (1.0, 0.99)])) - expected).abs() < 1e-6);
        assert!(fisher([(1.0, 0.9), (1.0, 0.9)]) > fisher([(1.0, 0.9), (1.0, 0.8)]));
        assert_eq!(fisher([(2.0, 0.9)]), fisher([(1.0, 0.9), (1.0, 0.9)]));
    }

    proptest! {
        #[test]
        fn ranks_rise_strictly_inside_the_unit_interval(
            sample in vec(-9.0_f32..9.0, 1..50), a in any::<f32>(), b in any::<f32>(),
        ) {
            let ecdf = Ecdf::new(sample).expect("is a sample");
            prop_assert!(ecdf.rank(a) > 0.0 && ecdf.rank(a) < 1.0);
            prop_assert!(fisher([(1.0, ecdf.rank(a))]).is_finite());
            if a <= b {
                prop_assert!(ecdf.rank(a) <= ecdf.rank(b));
            }
        }
    }
}
