//! Where a set of scores falls apart into two: Otsu's threshold (Otsu 1979, "A threshold selection
//! method from gray-level histograms"), exact over the sorted scores.
//!
//! It must never be told how many high scores to expect.

/// How many of `descending` scores (highest first, no NaN) lie above the split that makes the variance
/// between the two parts, w0 w1 (mu0 - mu1)^2, largest; 0 where there are fewer than two distinct scores.
pub fn above_split(descending: &[f64]) -> usize {
    let total: f64 = descending.iter().sum();
    let count = descending.len() as f64;
    let (mut best, mut at, mut sum) = (0.0, 0, 0.0);
    for (i, pair) in descending.windows(2).enumerate() {
        sum += pair[0];
        if pair[0] == pair[1] {
            continue;
        }
        let above = (i + 1) as f64;
        let gap = sum / above - (total - sum) / (count - above);
        let between = above * (count - above) * gap * gap;
        if between > best {
            (best, at) = (between, i + 1);
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_heaps_are_told_apart() {
        let cases: [(&[f64], usize); 6] = [
            (&[], 0),
            (&[1.0], 0),
            (&[1.0, 1.0, 1.0], 0),
            (&[9.0, 1.0], 1),
            (&[9.0, 8.5, 8.0, 1.0, 0.9, 0.8, 0.7, 0.1], 3),
            (&[5.0, 5.0, 0.0, 0.0, 0.0, -0.1], 2),
        ];
        for (scores, expected) in cases {
            assert_eq!(above_split(scores), expected, "{scores:?}");
        }
    }

    #[test]
    fn equal_scores_are_never_parted() {
        let scores = [3.0, 2.0, 2.0, 2.0, 0.0, 0.0];
        let at = above_split(&scores);
        assert_ne!(scores[at - 1], scores[at]);
    }
}
