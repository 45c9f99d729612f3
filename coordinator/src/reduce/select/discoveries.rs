//! How far down a list of scores something else than chance is found: conformal p-values against honest scores (Bates et al. 2023,
//! "Testing for outliers with conformal p-values"), among which Benjamini and Hochberg's step-up procedure (1995) draws the line.
//!
//! It must never be told how many to find.

/// The least of the scores that are discoveries where at most `rate` of the discoveries are expected to be false; nothing where there is
/// none. Both are `descending` (highest first, no NaN). p = (1 + honest scores as high) / (1 + honest scores), so that few honest scores
/// discover little; the rate holds where an honest one among `scores` is as likely as high as an honest one elsewhere.
pub fn least_discovery(scores: &[f64], honest: &[f64], rate: f64) -> Option<f64> {
    let (mut least, mut as_high) = (None, 0);
    for (at, &score) in scores.iter().enumerate() {
        as_high += honest[as_high..].iter().take_while(|honest| **honest >= score).count();
        let p = (1 + as_high) as f64 / (1 + honest.len()) as f64;
        if p * scores.len() as f64 <= rate * (at + 1) as f64 {
            least = Some(score);
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 99 honest scores, 98 to 0.
    fn honest() -> Vec<f64> {
        (0..99).rev().map(f64::from).collect()
    }

    #[test]
    fn the_list_ends_where_honest_scores_begin() {
        // 20 that none of 99 reaches, then 20 of which each is reached by five more than the one before.
        let scores: Vec<f64> =
            (0..20).map(|at| 300.0 - f64::from(at)).chain((1..21).map(|at| f64::from(99 - 5 * at))).collect();
        // The nth of the second has p = 0.01 (1 + 5 n), and may have (20 + n) / 40 of the rate: of 0.15 the first (0.06 of 0.079), not the
        // second (0.11 of 0.083); of 0.5 the sixth (0.31 of 0.325), not the seventh (0.36 of 0.338).
        assert_eq!(least_discovery(&scores, &honest(), 0.1), Some(281.0));
        assert_eq!(least_discovery(&scores, &honest(), 0.15), Some(94.0));
        assert_eq!(least_discovery(&scores, &honest(), 0.5), Some(69.0));
    }

    #[test]
    fn equal_scores_are_found_together() {
        let scores = [vec![200.0; 3], vec![98.0; 3]].concat();
        assert_eq!(least_discovery(&scores, &honest(), 0.02), Some(98.0), "p is 0.02 for all of the second three");
        assert_eq!(
            least_discovery(&scores, &honest(), 0.019),
            None,
            "and for the first three 0.01, where 0.0095 may be"
        );
    }

    #[test]
    fn nothing_is_found_among_honest_scores_nor_beside_too_few() {
        assert_eq!(least_discovery(&honest(), &honest(), 0.5), None);
        assert_eq!(least_discovery(&[9.0; 50], &[1.0; 8], 0.1), None, "p is 1 in 9 at least");
        assert_eq!(least_discovery(&[9.0; 50], &[1.0; 9], 0.1), Some(9.0));
        assert_eq!((least_discovery(&[], &[1.0], 1.0), least_discovery(&[9.0], &[], 0.9)), (None, None));
    }
}
