//! From every shard's digest to one cut.
//!
//! It must never see a sample: shards apply the cut to their own rows.

use lethe_common::fault::Fault;
use lethe_common::spec::Spec;
use lethe_evidence::WordCounts;
use lethe_evidence::artifacts::{SampleCounts, ShardDigest, SuspectCut, columns, names};
use lethe_evidence::cut::{Cut, CutSize};

use super::histogram::histogram;
use super::{ReduceContext, ReduceResult};

/// Words kept of the corpus: the most frequent. A rarer one weighs nothing in the odds.
const MAX_WORDS: usize = 200_000;

pub(super) async fn run(ctx: &ReduceContext) -> Result<ReduceResult, Fault> {
    let mut all = ShardDigest::default();
    for input in ctx.named(names::DIGEST) {
        all.merge(&ctx.json(names::DIGEST, input).await?);
    }
    check(&all, &ctx.spec)?;
    let outputs = vec![ctx.write_json(names::CUT, &cut(&all, &ctx.spec)).await?];
    Ok(ReduceResult { outputs, outline: None })
}

/// Whether there is enough to go on with.
fn check(all: &ShardDigest, spec: &Spec) -> Result<(), Fault> {
    let SampleCounts { read, scored, failed } = all.counts;
    let example =
        all.bad.listed.first().map_or(String::new(), |bad| format!("; the first: {}: {}", bad.key, bad.reason));
    if scored == 0 {
        return Err(Fault::fatal(format!(
            "of {read} samples none could be scored{example}; expected WebDataset tars with an image and a caption a sample"
        )));
    }
    let (share, limit) = (all.counts.failed_share(), spec.data.max_failed_share);
    if share > limit {
        return Err(Fault::fatal(format!(
            "{failed} of {read} samples could not be read, a share of {share:.4}; data.max_failed_share is {limit}{example}"
        )));
    }
    Ok(())
}

fn cut(all: &ShardDigest, spec: &Spec) -> SuspectCut {
    let size = CutSize { share: spec.suspect.share, max_samples: spec.suspect.max_suspects };
    let cut = Cut::choose(&all.suspicion, size);
    let suspects = cut.above + tied_suspects(&cut);
    let safe = all.counts.scored.saturating_sub(suspects).max(1);
    let first = histogram(columns::SUSPICION, &all.suspicion, Some(f64::from(cut.threshold)));
    let others = all.signals.iter().filter(|(name, _)| *name != columns::SUSPICION);
    SuspectCut {
        cut,
        counts: all.counts,
        suspects,
        safe_share: (spec.suspect.max_safe as f64 / safe as f64).min(1.0),
        histograms: std::iter::once(first).chain(others.map(|(name, digest)| histogram(name, digest, None))).collect(),
        words: most_frequent(&all.words),
        bad: all.bad.clone(),
    }
}

/// About how many of the tied bucket the cut takes, key hashes being uniform.
fn tied_suspects(cut: &Cut) -> u64 {
    let share = cut.tied_key_hash.map_or(0.0, |last| last as f64 / u64::MAX as f64);
    (share * cut.tied as f64).round() as u64
}

fn most_frequent(words: &WordCounts) -> WordCounts {
    let mut counted: Vec<(&str, u64)> = words.words().collect();
    counted.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let mut kept = WordCounts::default();
    counted.into_iter().take(MAX_WORDS).for_each(|(word, count)| kept.add_many(word, count));
    kept
}

#[cfg(test)]
mod tests {
    use lethe_evidence::artifacts::{BadSample, BadSamples, count_words};

    use super::super::fixture;
    use super::*;

    fn digest(shard: u32, scored: u64, failed: u64) -> String {
        let mut bad = BadSamples::default();
        (0..failed).for_each(|n| bad.push(BadSample { key: format!("{shard}/{n}"), reason: "broken jpeg".to_owned() }));
        let scores = || (0..scored).map(|n| (n * 2 + u64::from(shard)) as f32);
        let digest = ShardDigest {
            counts: SampleCounts { read: scored + failed, scored, failed },
            suspicion: scores().collect(),
            signals: [("similarity".to_owned(), scores().collect())].into(),
            words: count_words(["a coat"]),
            bad,
        };
        serde_json::to_string(&digest).expect("writes")
    }

    async fn suspected(shards: &[(u32, u64, u64)]) -> Result<SuspectCut, Fault> {
        let texts: Vec<(u32, String)> =
            shards.iter().map(|&(id, scored, failed)| (id, digest(id, scored, failed))).collect();
        let blobs: Vec<_> = texts.iter().map(|(id, text)| (*id, names::DIGEST, text.as_str())).collect();
        let (ctx, _folder) = fixture::context("[]", &blobs).await;
        let result = run(&ctx).await?;
        Ok(serde_json::from_slice(&ctx.blobs.get(&result.outputs[0].blob).await.expect("reads")).expect("is a cut"))
    }

    #[tokio::test]
    async fn the_cut_takes_its_share_whatever_the_order_of_shards() {
        let cut = suspected(&[(0, 500, 0), (1, 500, 1)]).await.expect("cuts");
        assert_eq!(cut, suspected(&[(1, 500, 1), (0, 500, 0)]).await.expect("cuts"));
        assert_eq!((cut.suspects, cut.counts.read, cut.bad.count), (100, 1_001, 1));
        assert_eq!(cut.cut.threshold, 900.0);
        assert_eq!((cut.words.count("coat"), cut.safe_share), (2, 1.0));
        assert_eq!(cut.histograms.iter().map(|h| h.signal.as_str()).collect::<Vec<_>>(), ["suspicion", "similarity"]);
    }

    #[tokio::test]
    async fn too_many_failures_and_none_scored_are_fatal_with_an_example() {
        for shards in [[(0, 97, 3)], [(0, 0, 5)]] {
            let fault = suspected(&shards).await.expect_err("is refused");
            assert!(fault.is_fatal() && fault.message.contains("0/0: broken jpeg"), "{fault}");
        }
        assert!(suspected(&[(0, 98, 2)]).await.is_ok(), "the limit itself is allowed");
        assert!(suspected(&[]).await.is_err(), "nothing at all");
    }
}
