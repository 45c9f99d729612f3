use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn merged(parts: &[&ScoreDigest]) -> ScoreDigest {
    let mut whole = ScoreDigest::default();
    parts.iter().for_each(|part| whole.merge(part));
    whole
}

proptest! {
    #[test]
    fn buckets_keep_the_order(a in any::<f32>(), b in any::<f32>()) {
        if a <= b {
            prop_assert!(Bucket::of(a) <= Bucket::of(b));
        }
        if let Some(bucket) = Bucket::of(a) {
            prop_assert!(bucket.lower_edge() <= a);
            prop_assert_eq!(Bucket::of(bucket.lower_edge()), Some(bucket));
        }
    }

    #[test]
    fn merging_knows_no_order(a in vec(any::<f32>(), 0..40), b in vec(any::<f32>(), 0..40), c in vec(any::<f32>(), 0..40)) {
        let whole: ScoreDigest = a.iter().chain(&b).chain(&c).copied().collect();
        let [a, b, c] = [a, b, c].map(|part| part.into_iter().collect::<ScoreDigest>());
        prop_assert_eq!(&merged(&[&a, &b, &c]), &whole);
        prop_assert_eq!(&merged(&[&c, &merged(&[&b, &a])]), &whole);
    }

    #[test]
    fn quantiles_are_within_the_stated_error(mut scores in vec(-1e6_f32..1e6, 1..200), q in 0.0..1.0_f64) {
        let digest: ScoreDigest = scores.iter().copied().collect();
        scores.sort_by(f32::total_cmp);
        let exact = scores[((q * scores.len() as f64) as usize).min(scores.len() - 1)];
        let found = digest.quantile(q).expect("has scores");
        prop_assert!(found <= exact);
        prop_assert!(exact - found <= RELATIVE_ERROR * exact.abs().max(f32::MIN_POSITIVE), "{found} for {exact}");
    }

    #[test]
    fn counts_bracket_the_exact_count(scores in vec(-2.0_f32..2.0, 0..200), at in -2.0_f32..2.0) {
        let digest: ScoreDigest = scores.iter().copied().collect();
        let edge = Bucket::of(at).expect("is a number").lower_edge();
        let exact = |from: f32| scores.iter().filter(|score| **score >= from).count() as u64;
        prop_assert_eq!(digest.count_at_least(at), exact(edge));
        prop_assert!(digest.count_at_least(at) >= exact(at));
    }

    #[test]
    fn the_stored_form_comes_back(scores in vec(any::<f32>(), 0..60)) {
        let digest: ScoreDigest = scores.into_iter().collect();
        let json = serde_json::to_string(&digest).expect("writes");
        prop_assert_eq!(serde_json::from_str::<ScoreDigest>(&json).expect("reads"), digest);
    }
}

#[test]
fn nan_is_counted_apart_and_zero_has_no_sign() {
    let digest: ScoreDigest = [f32::NAN, 0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY].into_iter().collect();
    assert_eq!((digest.count(), digest.nan_count()), (4, 1));
    assert_eq!(digest.count_at_least(0.0), 3);
    assert_eq!(digest.quantile(0.0), Some(f32::NEG_INFINITY));
    assert_eq!(digest.quantile(1.0), Some(f32::INFINITY));
    assert_eq!(ScoreDigest::default().quantile(0.5), None);
}

#[test]
fn a_damaged_digest_is_refused() {
    for json in [r#"{"nan":0,"buckets":[[1048576,1]]}"#, r#"{"nan":0,"buckets":[[7,0]]}"#] {
        assert!(serde_json::from_str::<ScoreDigest>(json).is_err(), "{json}");
    }
}
