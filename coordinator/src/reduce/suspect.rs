//! From every shard's digest to one cut.
//!
//! It must never see a sample: shards apply the cut to their own rows. What it holds are counts by value, of which there are
//! at most 2^20 a signal, and a fixed number of words.

use std::pin::pin;

use futures::TryStreamExt;
use lethe_common::fault::Fault;
use lethe_common::spec::Spec;
use lethe_evidence::artifacts::{SampleCounts, ShardDigest, SuspectCut, columns, names};
use lethe_evidence::cut::{Cut, CutSize};

use super::exact::settled;
use super::histogram::histogram;
use super::io::blocking;
use super::tally::Tally;
use super::{ReduceContext, ReduceResult};

/// Words kept of the corpus: the most frequent. A rarer one weighs nothing in the odds.
const MAX_WORDS: usize = 200_000;

pub(super) async fn run(ctx: &ReduceContext) -> Result<ReduceResult, Fault> {
    let mut all = ShardDigest::default();
    let mut tally = Tally::new(ctx.blobs.scratch());
    let mut digests = pin!(ctx.each(names::DIGEST, |input| ctx.json::<ShardDigest>(names::DIGEST, input)));
    while let Some((_, mut shard)) = digests.try_next().await? {
        let words = std::mem::take(&mut shard.words);
        tally = blocking(move || tally.add(&words)).await?;
        all.merge(&shard);
    }
    check(&all, &ctx.spec)?;
    all.words = blocking(move || tally.most_frequent(MAX_WORDS)).await?;
    let size = size(&ctx.spec);
    let (wanted, mut chosen) = (size.wanted(&all.suspicion), Cut::choose(&all.suspicion, size));
    let mut suspects = chosen.above + tied_suspects(&chosen);
    if chosen.could_exceed(size.max_samples) {
        (chosen, suspects) = (settled(ctx, chosen, wanted).await?, wanted);
    }
    let whole = CutSize { max_samples: u64::MAX, ..size };
    let uncapped = (wanted < whole.wanted(&all.suspicion)).then(|| Cut::choose(&all.suspicion, whole));
    let outputs = vec![ctx.write_json(names::CUT, &cut(&all, (chosen, suspects, uncapped), &ctx.spec)).await?];
    Ok(ReduceResult::of(outputs))
}

/// Whether there is enough to go on with.
fn check(all: &ShardDigest, spec: &Spec) -> Result<(), Fault> {
    let SampleCounts { read, scored, failed } = all.counts;
    let example =
        all.bad.listed.first().map_or(String::new(), |bad| format!("; the first: {}: {}", bad.key, bad.reason));
    if scored == 0 {
        return Err(Fault::fatal(format!(
            "of {read} samples none could be scored{example}; expected shards with an image and a caption a sample"
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

fn cut(all: &ShardDigest, (cut, suspects, uncapped): (Cut, u64, Option<Cut>), spec: &Spec) -> SuspectCut {
    let suspicious = uncapped.map_or(suspects, |whole| whole.above + tied_suspects(&whole));
    let safe = all.counts.scored.saturating_sub(suspicious).max(1);
    let first = histogram(columns::SUSPICION, &all.suspicion, Some(f64::from(cut.threshold)));
    let others = all.signals.iter().filter(|(name, _)| *name != columns::SUSPICION);
    SuspectCut {
        cut,
        uncapped,
        counts: all.counts,
        suspects,
        safe_share: (spec.suspect.max_safe as f64 / safe as f64).min(1.0),
        histograms: std::iter::once(first).chain(others.map(|(name, digest)| histogram(name, digest, None))).collect(),
        words: all.words.clone(),
        bad: all.bad.clone(),
    }
}

fn size(spec: &Spec) -> CutSize {
    CutSize { share: spec.suspect.share, max_samples: spec.suspect.max_suspects }
}

/// About how many of the tied bucket the cut takes, key hashes being uniform.
fn tied_suspects(cut: &Cut) -> u64 {
    let share = cut.tied_key_hash.map_or(0.0, |last| last as f64 / u64::MAX as f64);
    (share * cut.tied as f64).round() as u64
}

#[cfg(test)]
mod tests {
    use lethe_evidence::artifacts::{BadSample, BadSamples};
    use lethe_evidence::words::count_words;
    use lethe_evidence::{SignalRow, SignalTable};

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

    /// All scores fall into one bucket, so that the luck of the key hashes would miss the cap.
    #[tokio::test]
    async fn the_cap_is_met_exactly_whatever_the_order_of_shards() {
        let table = |shard: u32| {
            let row = |n: u32| SignalRow {
                shard,
                key: format!("{n:05}"),
                content: String::new(),
                caption: String::new(),
                values: vec![0.5],
            };
            SignalTable { names: vec![columns::SUSPICION.to_owned()], rows: (0..900).map(row).collect() }
        };
        let digest = ShardDigest {
            counts: SampleCounts { read: 900, scored: 900, failed: 0 },
            suspicion: vec![0.5; 900].into_iter().collect(),
            ..ShardDigest::default()
        };
        // A share above the cap, and one so near below it that luck could exceed it.
        for (order, share, wanted) in [([0, 1], 0.5, 123), ([1, 0], 0.5, 123), ([0, 1], 122.0 / 1_800.0, 122)] {
            let mut blobs = vec![(0, names::SHARDS, fixture::json(&fixture::shards()))];
            for shard in order {
                blobs.push((shard, names::DIGEST, fixture::json(&digest)));
                blobs.push((shard, names::SIGNALS, table(shard).to_parquet().expect("writes")));
            }
            let (mut ctx, _folder) = fixture::with_blobs("[]", &blobs).await;
            (ctx.spec.suspect.share, ctx.spec.suspect.max_suspects) = (share, 123);
            let result = run(&ctx).await.expect("cuts");
            let cut = ctx.blobs.get(&result.outputs[0].blob).await.expect("reads");
            let cut: SuspectCut = serde_json::from_slice(&cut).expect("is a cut");
            let listing = fixture::shards();
            let is_suspect = |shard: u32, row: &SignalRow| {
                let name = listing.shards[shard as usize].name();
                let hash = lethe_data::key_hash(ctx.spec.audit.seed, &listing.dataset, name, &row.key);
                cut.cut.is_suspect(row.values[0], hash)
            };
            let of = |shard: u32| table(shard).rows.iter().filter(|row| is_suspect(shard, row)).count();
            assert_eq!((of(0) + of(1), cut.suspects), (wanted as usize, wanted));
        }
    }

    /// What the cap leaves out is no more honest for it: of a large set it may be most of the poison.
    #[tokio::test]
    async fn what_the_cap_leaves_out_is_neither_suspect_nor_honest() {
        let of = async |max_suspects: u64| {
            let texts = [(0, digest(0, 500, 0)), (1, digest(1, 500, 0))];
            let blobs: Vec<_> = texts.iter().map(|(id, text)| (*id, names::DIGEST, text.as_str())).collect();
            let (mut ctx, _folder) = fixture::context("[]", &blobs).await;
            (ctx.spec.suspect.max_suspects, ctx.spec.suspect.max_safe) = (max_suspects, 90);
            let result = run(&ctx).await.expect("cuts");
            let bytes = ctx.blobs.get(&result.outputs[0].blob).await.expect("reads");
            serde_json::from_slice::<SuspectCut>(&bytes).expect("is a cut")
        };
        let (free, capped) = (of(1_000).await, of(20).await);
        let kinds = |cut: &SuspectCut| {
            let count = |is: &dyn Fn(f32) -> bool| (0..1_000).filter(|score| is(*score as f32)).count();
            (count(&|score| cut.is_suspect(score, 1)), count(&|score| cut.is_honest(score, 1)))
        };
        assert_eq!((kinds(&free), free.uncapped, free.safe_share), ((100, 900), None, 0.1));
        assert_eq!((kinds(&capped), capped.safe_share), ((20, 900), 0.1));
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
