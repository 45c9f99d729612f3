//! From a digest to the few bins that a page shows.
//!
//! It must never decide anything: cuts come from the digest itself.

use lethe_evidence::ScoreDigest;
use lethe_evidence::artifacts::Histogram;

const BINS: usize = 60;
/// The lowest values, which would squeeze all others, are counted in the first bin.
const CLIPPED_SHARE: f64 = 0.001;

pub(super) fn histogram(signal: &str, digest: &ScoreDigest, cut: Option<f64>) -> Histogram {
    let edge = |q: f64| digest.quantile(q).filter(|value| value.is_finite()).map_or(0.0, f64::from);
    let (low, high) = (edge(CLIPPED_SHARE), edge(1.0));
    let width = ((high - low) / BINS as f64).max(f64::MIN_POSITIVE);
    let mut counts = vec![0; BINS];
    for (bucket, count) in digest.descending() {
        let place = (f64::from(bucket.lower_edge()) - low) / width;
        counts[(place.max(0.0) as usize).min(BINS - 1)] += count;
    }
    Histogram { signal: signal.to_owned(), low, high, counts, cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_some_bin() {
        let digest: ScoreDigest = (0..6_000).map(|n| n as f32 / 6_000.0).chain([-900.0, f32::NEG_INFINITY]).collect();
        let shown = histogram("s", &digest, Some(0.5));
        assert_eq!(shown.counts.iter().sum::<u64>(), 6_002);
        assert!(shown.low >= 0.0 && shown.counts.iter().all(|&count| (50..200).contains(&count)), "{shown:?}");
    }

    #[test]
    fn nothing_and_one_value_have_histograms() {
        assert_eq!(histogram("s", &ScoreDigest::default(), None).counts.iter().sum::<u64>(), 0);
        assert_eq!(histogram("s", &[0.25].into_iter().collect(), None).counts.iter().sum::<u64>(), 1);
    }
}
