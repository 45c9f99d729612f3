//! How good a ranking is, and how sure a share.
//!
//! It must never depend on the order in which equal scores are listed. Labels come from outside an
//! audit: only drills and tests have them.

/// The chance that a positive outscores a negative, ties counted half (Mann-Whitney). `None` where
/// one of the classes is empty. Scores must not be NaN; lengths must agree.
pub fn auroc(scores: &[f32], labels: &[bool]) -> Option<f64> {
    assert_eq!(scores.len(), labels.len(), "one label a score");
    let positives = labels.iter().filter(|label| **label).count() as f64;
    let negatives = labels.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    let mut wins = 0.0;
    let mut negatives_above = 0.0;
    for tied in descending_ties(scores, labels) {
        wins += tied.positives * (negatives - negatives_above - tied.negatives / 2.0);
        negatives_above += tied.negatives;
    }
    Some(wins / (positives * negatives))
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrecisionRecall {
    pub precision: f64,
    pub recall: f64,
}

/// Of the `count` highest scores; where a tie crosses the end, the expectation over its orders.
/// An empty choice has precision 1, and without positives recall is 1.
pub fn precision_recall_at(scores: &[f32], labels: &[bool], count: usize) -> PrecisionRecall {
    assert_eq!(scores.len(), labels.len(), "one label a score");
    let wanted = count.min(scores.len()) as f64;
    let mut found = 0.0;
    let mut left = wanted;
    for tied in descending_ties(scores, labels) {
        let size = tied.positives + tied.negatives;
        let taken = left.min(size);
        found += tied.positives * taken / size;
        left -= taken;
    }
    let positives = labels.iter().filter(|label| **label).count() as f64;
    let share = |of: f64| if of == 0.0 { 1.0 } else { found / of };
    PrecisionRecall { precision: share(wanted), recall: share(positives) }
}

struct Tied {
    positives: f64,
    negatives: f64,
}

/// Groups of equal scores, highest first.
fn descending_ties(scores: &[f32], labels: &[bool]) -> Vec<Tied> {
    let mut rows: Vec<(f32, bool)> = scores.iter().copied().zip(labels.iter().copied()).collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    rows.chunk_by(|a, b| a.0 == b.0)
        .map(|group| {
            let positives = group.iter().filter(|row| row.1).count();
            Tied { positives: positives as f64, negatives: (group.len() - positives) as f64 }
        })
        .collect()
}

/// A share with its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

/// Wilson's score interval for `hits` of `total` (E. B. Wilson 1927); `z` is 1.96 for 95 %. All of
/// [0, 1] where nothing was counted.
pub fn wilson(hits: u64, total: u64, z: f64) -> Interval {
    if total == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let (n, share) = (total as f64, hits as f64 / total as f64);
    let scale = 1.0 + z * z / n;
    let centre = (share + z * z / (2.0 * n)) / scale;
    let half = z / scale * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn auroc_of_small_cases() {
        for (scores, labels, expected) in [
            (vec![1.0, 2.0, 3.0, 4.0], vec![false, false, true, true], Some(1.0)),
            (vec![1.0, 2.0, 3.0, 4.0], vec![true, true, false, false], Some(0.0)),
            (vec![1.0, 1.0, 1.0], vec![true, false, true], Some(0.5)),
            (vec![0.1, 0.4, 0.35, 0.8], vec![false, false, true, true], Some(0.75)),
            (vec![1.0], vec![true], None),
        ] {
            assert_eq!(auroc(&scores, &labels), expected);
        }
    }

    #[test]
    fn precision_and_recall_of_small_cases() {
        let at = |count| precision_recall_at(&[4.0, 3.0, 3.0, 1.0], &[true, true, false, false], count);
        assert_eq!(at(1), PrecisionRecall { precision: 1.0, recall: 0.5 });
        assert_eq!(at(2), PrecisionRecall { precision: 0.75, recall: 0.75 });
        assert_eq!(at(9), PrecisionRecall { precision: 0.5, recall: 1.0 });
        assert_eq!(at(0), PrecisionRecall { precision: 1.0, recall: 0.0 });
    }

    #[test]
    fn wilson_agrees_with_published_values() {
        // R's prop.test(10, 100, correct = FALSE) and (0, 20): 0.05522914 0.17436566, 0 0.16113351
        let ten = wilson(10, 100, 1.959_964);
        assert!((ten.low - 0.055_229_14).abs() < 1e-7 && (ten.high - 0.174_365_66).abs() < 1e-7);
        let none = wilson(0, 20, 1.959_964);
        assert!(none.low == 0.0 && (none.high - 0.161_133_51).abs() < 1e-5, "{none:?}");
        assert_eq!(wilson(0, 0, 1.96), Interval { low: 0.0, high: 1.0 });
    }

    proptest! {
        #[test]
        fn auroc_equals_counting_pairs(rows in vec((0_u8..6, any::<bool>()), 0..40)) {
            let scores: Vec<f32> = rows.iter().map(|row| f32::from(row.0)).collect();
            let labels: Vec<bool> = rows.iter().map(|row| row.1).collect();
            let (mut wins, mut pairs) = (0.0, 0.0);
            for a in rows.iter().filter(|row| row.1) {
                for b in rows.iter().filter(|row| !row.1) {
                    pairs += 1.0;
                    wins += f64::from(u8::from(a.0 > b.0)) + 0.5 * f64::from(u8::from(a.0 == b.0));
                }
            }
            match auroc(&scores, &labels) {
                Some(found) => prop_assert!((found - wins / pairs).abs() < 1e-12),
                None => prop_assert_eq!(pairs, 0.0),
            }
        }
    }
}
