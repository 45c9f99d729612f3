//! The formulas, in f64, of a point whose nearest reference points are known.
//!
//! It must never replace a value that is defined: only means that are no number become one.

use super::search::Near;

/// Keeps a neighbour at distance zero from making the LID's sum infinite; the authors' constant.
const LID_FLOOR: f64 = 1e-4;
/// What the authors' code puts for a mean that is NaN or infinite, and for minus infinity.
const UNDEFINED: f64 = 1000.0;
const BELOW_ALL: f64 = 0.0;

/// What is known of a reference point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Local {
    k_distance: f64,
    lid: f64,
}

impl Local {
    pub fn of(near: &[Near]) -> Self {
        Self { k_distance: k_distance(near), lid: lid(near) }
    }
}

/// a_k; NaN of no neighbours.
fn k_distance(near: &[Near]) -> f64 {
    near.last().map_or(f64::NAN, |last| last.distance)
}

/// -k / sum ln(a_j / a_k + 1e-4): the maximum-likelihood estimate of the local intrinsic dimension.
fn lid(near: &[Near]) -> f64 {
    let a_k = k_distance(near);
    let sum: f64 = near.iter().map(|a| (a.distance / a_k + LID_FLOOR).ln()).sum();
    -(near.len() as f64) / sum
}

/// k-distance, SLOF and DAO; all NaN of no neighbours.
pub(super) fn scores_of(near: &[Near], local: &[Local]) -> [f64; 3] {
    if near.is_empty() {
        return [f64::NAN; 3];
    }
    let (a_k, k) = (k_distance(near), near.len() as f64);
    let (mut slof, mut dao) = (0.0, 0.0);
    for neighbour in near {
        let at = local[neighbour.point as usize];
        let ratio = a_k / at.k_distance;
        slof += ratio;
        dao += at.lid * ratio.ln();
    }
    [a_k, settled(slof / k), settled(dao / k)]
}

fn settled(mean: f64) -> f64 {
    match mean {
        nan if nan.is_nan() => UNDEFINED,
        f64::INFINITY => UNDEFINED,
        f64::NEG_INFINITY => BELOW_ALL,
        number => number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(distances: &[f64]) -> Vec<Near> {
        distances.iter().enumerate().map(|(at, &distance)| Near { distance, point: at as u32 }).collect()
    }

    #[test]
    fn lid_of_distances_that_double_is_known() {
        // sum of ln(2^-i + 1e-4) for i = 3, 2, 1, 0
        let sum: f64 = [0.125_f64, 0.25, 0.5, 1.0].iter().map(|r| (r + 1e-4).ln()).sum();
        assert!((lid(&near(&[1.0, 2.0, 4.0, 8.0])) + 4.0 / sum).abs() < 1e-12);
    }

    #[test]
    fn zero_distances_become_the_authors_numbers() {
        let local = |k_distance: f64, lid: f64| Local { k_distance, lid };
        // 0/0 is no number; 0/1 lies infinitely below; 1/0 infinitely above.
        for (a_k, d_k, slof, dao) in [(0.0, 0.0, 1000.0, 1000.0), (0.0, 1.0, 0.0, 0.0), (1.0, 0.0, 1000.0, 1000.0)] {
            let found = scores_of(&near(&[a_k]), &[local(d_k, 2.0)]);
            assert_eq!(found, [a_k, slof, dao], "a_k {a_k}, d_k {d_k}");
        }
        assert!(Local::of(&near(&[0.0, 0.0])).lid.is_nan(), "0/0 in its sum");
        assert!(scores_of(&[], &[]).iter().all(|score| score.is_nan()));
    }
}
