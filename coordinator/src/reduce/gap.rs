//! Where the planted part from the rest: the widest gap in a descending list of scores.
//!
//! It must never be led by single outliers, so a gap is first looked for over several ranks at once.

/// Ranks to either side of a gap, at most.
const MAX_HALF: usize = 8;
/// So many candidates make the window one rank wider.
const CANDIDATES_A_RANK: usize = 64;

/// How many of the highest scores lie above the gap, at most `most`. `scores` descend and hold no NaN.
/// All (up to `most`) where they are too few to have a gap.
pub(super) fn above_gap(scores: &[f64], most: usize) -> usize {
    let most = most.min(scores.len());
    let half = (most / CANDIDATES_A_RANK).clamp(1, MAX_HALF);
    let last = most.min((scores.len() + 1).saturating_sub(half).saturating_sub(1));
    let spacing = |at: usize| scores[at - half] - scores[at + half - 1];
    let Some(middle) = widest(2 * half..=last, spacing) else { return most };
    let step = |at: usize| scores[at - 1] - scores[at];
    widest(middle - half + 1..=(middle + half - 1).min(last), step).unwrap_or(middle)
}

/// The first place of the greatest value.
fn widest(mut places: std::ops::RangeInclusive<usize>, width: impl Fn(usize) -> f64) -> Option<usize> {
    let first = places.next()?;
    Some(places.fold(first, |best, at| if width(at) > width(best) { at } else { best }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn descending(mut scores: Vec<f64>) -> Vec<f64> {
        scores.sort_by(|a, b| b.total_cmp(a));
        scores
    }

    #[test]
    fn planted_samples_are_parted_from_the_rest() {
        let planted = (0..200).map(|n| 0.8 + f64::from(n % 50) / 200.0);
        let others = (0..1_800).map(|n| f64::from(n % 300) / 600.0);
        let between = [0.55, 0.62, 0.70];
        let scores = descending(planted.chain(others).chain(between).collect());
        assert!((200..=203).contains(&above_gap(&scores, 1_000)));
    }

    #[test]
    fn outliers_make_no_gap() {
        let scores = descending((0..2_000).map(|n| f64::from(n % 100) / 100.0).chain((0..200).map(|_| 3.0)).chain([50.0, 90.0]).collect());
        assert_eq!(above_gap(&scores, 1_000), 202);
    }

    #[test]
    fn few_scores_have_a_plain_gap_or_none() {
        for (scores, most, expected) in [
            (vec![9.0, 8.5, 8.0, 1.0, 0.5, 0.0], 5, 3),
            (vec![9.0, 8.0, 1.0, 0.0], 2, 2),
            (vec![1.0, 1.0], 9, 2),
            (vec![1.0], 9, 1),
            (vec![], 9, 0),
        ] {
            assert_eq!(above_gap(&scores, most), expected, "{scores:?}");
        }
    }

    proptest! {
        #[test]
        fn the_limit_is_kept(scores in proptest::collection::vec(-1.0..1.0_f64, 0..400), most in 0_usize..500) {
            let found = above_gap(&descending(scores.clone()), most);
            prop_assert!(found <= most && found <= scores.len());
            prop_assert!(found > 0 || most == 0 || scores.is_empty());
        }
    }
}
