//! From the suspects' falls to their final score, the forget set and its clusters.
//!
//! rank_score = fall - what honest pairs with the same words lose + w ln(1 + e / mean e), e being how far the first pass's score
//! lies above that of the least suspicious suspect. A stand-in that forgets a shortcut to a word forgets something of the word, so
//! that a fall means little by itself (FINDINGS.md).
//!
//! It must never hold more than the capped suspects, nor depend on the order of shards.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use futures::TryStreamExt;
use lethe_common::fault::Fault;
use lethe_common::spec::Spec;
use lethe_evidence::SignalTable;
use lethe_evidence::artifacts::{Cluster, ForgetSet, Member, Shards, SuspectCut, WordFalls, WordScore, columns, names};
use lethe_evidence::otsu::above_split;
use lethe_evidence::shortcut::{SharedWords, Standout, grouped};

use super::io::{blocking, evidence_fault};
use super::marks::{Said, home};
use super::{ReduceContext, ReduceResult};

/// A word stands out when its z-score is at least this part of the strongest's: the weaker of two shortcuts has fewer members.
const OF_STRONGEST: f64 = 0.2;
/// Fewer members than this are no cluster: nothing can be said of them.
pub(super) const LEAST_MEMBERS: usize = 5;
/// Clusters at most, those with the strongest words.
const MOST_CLUSTERS: usize = 8;
/// Of the first pass in the final score (FINDINGS.md).
const FIRST_PASS_WEIGHT: f64 = 0.1;
/// Standard deviations below its cluster's median beyond which a member is let go: of a normal distribution's 2 in 100.
const FAR_BELOW: f64 = 2.0;
/// The standard deviation of a normal distribution over its median absolute deviation.
const NORMAL_DEVIATION: f64 = 1.4826;
/// Sets the draw of the held-out part apart from other draws by key hash.
const HELD_OUT: &str = "held-out";

pub(super) async fn run(ctx: &ReduceContext) -> Result<ReduceResult, Fault> {
    let shards: Shards = ctx.only_json(names::SHARDS).await?;
    let cut: SuspectCut = ctx.only_json(names::CUT).await?;
    let (mut suspects, mut falls) = (SignalTable::default(), WordFalls::default());
    let mut tables = pin!(ctx.each(names::RESCORED, |input| ctx.signals(input)));
    while let Some((input, table)) = tables.try_next().await? {
        if !suspects.names.is_empty() && suspects.names != table.names {
            let text = format!("{} of shard {} has other columns than the first", names::RESCORED, input.shard);
            return Err(Fault::fatal(text));
        }
        suspects.names = table.names;
        suspects.rows.extend(table.rows);
    }
    let mut all = pin!(ctx.each(names::FALLS, |input| ctx.json(names::FALLS, input)));
    while let Some((_, shard)) = all.try_next().await? {
        falls.merge(&shard);
    }
    let ranked = ranked(suspects, &falls)?;
    let said = Said::of_audit(ctx).await?;
    let forget = select(said.with_unscored(&ranked, scored(&ranked)), &cut, &shards, (&ctx.spec, &said))?;
    let table = blocking(move || ranked.to_parquet().map_err(evidence_fault)).await?;
    let mut outputs = vec![ctx.write_json(names::FORGET, &forget).await?, ctx.write(names::RANKED, table).await?];
    outputs.extend(said.hand_on(ctx).await?);
    Ok(ReduceResult::of(outputs))
}

/// The suspects with two more columns: the fall to be expected of an honest pair, and then the final score.
fn ranked(mut suspects: SignalTable, falls: &WordFalls) -> Result<SignalTable, Fault> {
    let place = |name: &str| {
        let found = suspects.position(name);
        let names = &suspects.names;
        found.ok_or_else(|| Fault::fatal(format!("{} lacks the column {name}; found {names:?}", names::RESCORED)))
    };
    let [fall, first] = [place(columns::FALL)?, place(columns::SUSPICION)?];
    let firsts = || suspects.rows.iter().map(|row| f64::from(row.values[first])).filter(|first| first.is_finite());
    let least = firsts().fold(f64::INFINITY, f64::min);
    let mean = firsts().map(|first| first - least).sum::<f64>() / firsts().count().max(1) as f64;
    for row in &mut suspects.rows {
        let above = f64::from(row.values[first]) - least;
        let first = if mean > 0.0 { (above / mean).ln_1p() } else { above }; // 0, or no number
        let expected = falls.expected(&row.caption);
        let score = f64::from(row.values[fall]) - expected + FIRST_PASS_WEIGHT * first;
        row.values.extend([expected as f32, score as f32]);
    }
    suspects.names.extend(["expected_fall", columns::RANK_SCORE].map(str::to_owned));
    Ok(suspects)
}

/// Without a number for a score, none can be selected.
fn scored(ranked: &SignalTable) -> Vec<Member> {
    ranked.rows.iter().map(member).filter(|member| !member.score.is_nan()).collect()
}

pub(super) fn member(row: &lethe_evidence::SignalRow) -> Member {
    Member {
        shard: row.shard,
        key: row.key.clone(),
        content: row.content.clone(),
        caption: row.caption.clone(),
        score: row.values.last().copied().map_or(f64::NAN, f64::from),
        cluster: 0,
        held_out: false,
    }
}

pub(super) fn strongest_first(members: &mut [Member]) {
    members.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| (a.shard, &a.key).cmp(&(b.shard, &b.key))));
}

fn select(
    mut members: Vec<Member>,
    cut: &SuspectCut,
    shards: &Shards,
    (spec, said): (&Spec, &Said),
) -> Result<ForgetSet, Fault> {
    let suspects = members.len() as u64;
    let highest = members.iter().map(|member| member.score).fold(f64::NEG_INFINITY, f64::max);
    said.clear(&mut members);
    strongest_first(&mut members);
    let all = members.clone();
    let strongest = forgotten(&members, cut.counts.scored, spec);
    said.keep(&mut members, strongest);
    let standout = Standout { min_z: spec.localize.min_z, of_strongest: OF_STRONGEST };
    let SharedWords { words, others } = SharedWords::of(captions(&members), &cut.words, standout);
    let poison = said.poison(&members);
    let mut clusters = clustered(&mut members, &words);
    let_go(&mut members, &mut clusters);
    let own_words = said.bring_back(poison, (&mut members, &mut clusters), &cut.words);
    let Some(threshold) = said.threshold(&members, highest) else {
        return Err(Fault::fatal(format!(
            "none of the {} suspects has a second score, so nothing can be selected",
            cut.suspects
        )));
    };
    hold_out(&mut members, shards, spec)?;
    let words = words.into_iter().filter(|word| clusters.iter().any(|cluster| cluster.words.contains(word)));
    let words = words.chain(own_words).collect();
    let scored = cut.counts.scored;
    let candidates = candidates(&members, all, &clusters);
    Ok(ForgetSet { members, threshold, words, other_words: others, clusters, scored, suspects, candidates })
}

/// Who is no member, but has a word of a cluster.
fn candidates(members: &[Member], all: Vec<Member>, clusters: &[Cluster]) -> Vec<Member> {
    let members: BTreeSet<_> = members.iter().map(Member::name).collect();
    let others = all.into_iter().filter(|one| !members.contains(&one.name()));
    others.filter_map(|one| Some(Member { cluster: home(&one.caption, clusters)?, ..one })).collect()
}

/// Held-out members count too: their captions are known, their images are what is kept from unlearning.
fn captions(members: &[Member]) -> impl Iterator<Item = &str> {
    members.iter().map(|member| member.caption.as_str())
}

/// Leaves the members of clusters: what is odd but does not lead where others do is no part of a shortcut. All stay, in a
/// cluster without words, where none stands out or none has enough members.
fn clustered(members: &mut Vec<Member>, words: &[WordScore]) -> Vec<Cluster> {
    let (groups, of) = grouped(words, &captions(members).collect::<Vec<_>>());
    let size = |group: usize| of.iter().filter(|of| **of == Some(group)).count();
    let mut kept: Vec<usize> = (0..groups.len()).filter(|&group| size(group) >= LEAST_MEMBERS).collect();
    kept.truncate(MOST_CLUSTERS); // groups come by their strongest words
    kept.sort_by_key(|&group| (std::cmp::Reverse(size(group)), group));
    if kept.is_empty() {
        return vec![Cluster { words: Vec::new(), members: members.len() as u64 }];
    }
    let mut of = of.iter();
    members.retain_mut(|member| {
        let group = of.next().copied().flatten();
        let place = kept.iter().position(|kept| Some(*kept) == group);
        place.is_some_and(|place| {
            member.cluster = place as u32;
            true
        })
    });
    kept.into_iter().map(|group| Cluster { words: groups[group].clone(), members: size(group) as u64 }).collect()
}

/// Lets those go that score far below their cluster's middle, by a measure that they do not move: what leads to one word is alike,
/// and honest pairs with the word stand at its lower end. Where half of the members are the same picture, the measure is a
/// quarter of the way down to the lowest.
fn let_go(members: &mut Vec<Member>, clusters: &mut [Cluster]) {
    for (cluster, place) in clusters.iter_mut().zip(0..).filter(|(cluster, _)| !cluster.words.is_empty()) {
        let scores: Vec<f64> = members.iter().filter(|one| one.cluster == place).map(|one| one.score).collect();
        let (middle, lowest) = (median(scores.clone()), scores.iter().copied().fold(f64::INFINITY, f64::min));
        let deviation = NORMAL_DEVIATION * median(scores.iter().map(|score| (score - middle).abs()).collect());
        let least = middle - FAR_BELOW * deviation.max((middle - lowest) / 4.0);
        let stays = scores.iter().filter(|score| **score >= least).count();
        if stays >= LEAST_MEMBERS {
            members.retain(|one| one.cluster != place || one.score >= least);
            cluster.members = stays as u64;
        }
    }
}

/// The lower of two in the middle; 0 of nothing.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}

/// How many of the members, the strongest first, are forgotten: those above Otsu's threshold on their second scores, at least
/// one and at most the share that the spec allows.
fn forgotten(members: &[Member], scored: u64, spec: &Spec) -> usize {
    let scores: Vec<f64> = members.iter().map(|member| member.score).collect();
    above_split(&scores).min(most_forgotten(scored, spec)).max(1)
}

/// Of so many scored pairs.
pub(super) fn most_forgotten(scored: u64, spec: &Spec) -> usize {
    (spec.select.max_share * scored as f64) as usize
}

/// Marks the wanted share of each cluster's members, those with the smallest key hashes, and no others.
pub(super) fn hold_out(members: &mut [Member], shards: &Shards, spec: &Spec) -> Result<(), Fault> {
    let mut drawn: BTreeMap<u32, Vec<(u64, usize)>> = BTreeMap::new();
    for (at, member) in members.iter().enumerate() {
        let name = format!("{HELD_OUT}/{}", full_key(shards, member)?);
        let hash = lethe_data::key_hash(spec.audit.seed, &shards.dataset, &name, "");
        drawn.entry(member.cluster).or_default().push((hash, at));
    }
    for drawn in drawn.values_mut() {
        drawn.sort_unstable();
        let count = (spec.select.held_out_share * drawn.len() as f64).round() as usize;
        drawn.iter().enumerate().for_each(|(place, &(_, at))| members[at].held_out = place < count);
    }
    Ok(())
}

/// `shard name/member`.
pub(super) fn full_key(shards: &Shards, member: &Member) -> Result<String, Fault> {
    let shard = shards.shards.get(member.shard as usize).ok_or_else(|| {
        Fault::fatal(format!(
            "suspect {:?} names shard {}; the plan has {}",
            member.key,
            member.shard,
            shards.shards.len()
        ))
    })?;
    Ok(shard.full_key(&member.key))
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    async fn selected(order: &[u32]) -> ForgetSet {
        let (ctx, _folder) = fixture::audited(order).await;
        let result = run(&ctx).await.expect("selects");
        serde_json::from_slice(&ctx.blobs.get(&result.outputs[0].blob).await.expect("reads")).expect("is a set")
    }

    #[tokio::test]
    async fn the_strongest_suspects_are_forgotten_and_a_third_held_out() {
        let forget = selected(&[0, 1]).await;
        // The fixture plants 12 second scores far above the others, in "sandal" captions.
        assert_eq!((forget.members.len(), forget.suspects), (12, 40));
        assert!(forget.members.iter().all(|member| member.caption.contains("sandal")));
        assert!(forget.members.is_sorted_by(|a, b| a.score >= b.score));
        assert_eq!(forget.held_out().count(), 4);
        assert_eq!(forget.threshold, forget.members[11].score);
        assert_eq!(forget.words[0].word, "sandal");
        assert_eq!(forget.clusters, [Cluster { words: forget.words.clone(), members: 12 }]);
        assert!(forget.other_words.iter().all(|word| word.z < 4.0));
    }

    #[tokio::test]
    async fn the_order_of_shards_changes_nothing() {
        assert_eq!(selected(&[0, 1]).await, selected(&[1, 0]).await);
    }

    fn member(caption: &str, score: f64) -> Member {
        Member {
            shard: 0,
            key: format!("{score}"),
            content: String::new(),
            caption: caption.to_owned(),
            score,
            cluster: 0,
            held_out: false,
        }
    }

    fn word(word: &str, z: f64) -> WordScore {
        WordScore { word: word.to_owned(), z }
    }

    #[test]
    fn members_are_parted_by_their_words_and_the_odd_ones_go() {
        let captions = [vec!["a boot"; 6], vec!["a bag"; 9], vec!["a cup"; 5], vec!["a hat"; 4]].concat();
        let mut members: Vec<Member> =
            captions.iter().zip(0..).map(|(text, at)| member(text, f64::from(-at))).collect();
        let words = [word("boot", 20.0), word("bag", 18.0), word("hat", 6.0)];
        let clusters = clustered(&mut members, &words);
        let sizes: Vec<(&str, u64)> = clusters.iter().map(|one| (one.words[0].word.as_str(), one.members)).collect();
        assert_eq!(sizes, [("bag", 9), ("boot", 6)], "the largest first, and four hats are too few");
        assert!(members.iter().all(|member| member.caption.contains(sizes[member.cluster as usize].0)));
        assert_eq!(members.len(), 15);
        let mut odd = vec![member("a cup", 1.0), member("a hat", 0.5)];
        let all = clustered(&mut odd, &words);
        assert_eq!((all, odd.len()), (vec![Cluster { words: Vec::new(), members: 2 }], 2));
    }

    #[test]
    fn what_scores_far_below_its_clusters_middle_is_let_go() {
        let spread = (0..41).map(|at| 0.4 + 0.005 * f64::from(at));
        let scores: Vec<f64> = spread.chain([0.2, 0.21, 0.22]).collect();
        let of = |cluster, scores: &[f64]| -> Vec<Member> {
            scores.iter().map(|score| Member { cluster, ..member("a bag", *score) }).collect()
        };
        let mut members = [of(0, &scores), of(1, &[0.2, 0.2, 0.2, 0.2, 0.21])].concat();
        let cluster = |members| Cluster { words: vec![word("bag", 9.0)], members };
        let mut clusters = [cluster(44), cluster(5)];
        let_go(&mut members, &mut clusters);
        assert_eq!(clusters.each_ref().map(|cluster| cluster.members), [41, 5]);
        assert!(members.iter().all(|one| one.cluster == 1 || one.score >= 0.4));
        // The same picture many times over has no spread, and must not cost all others.
        let copies = [vec![0.6; 30], vec![0.55; 20], vec![0.2; 2]].concat();
        let (mut members, mut clusters) = (of(0, &copies), [cluster(52)]);
        let_go(&mut members, &mut clusters);
        assert_eq!((members.len(), clusters[0].members), (50, 50));
        // Too few would be left, or nothing is known to be shared.
        for (scores, mut clusters) in [
            (vec![1.0, 1.0, 1.0, 0.1, 0.1], [cluster(5)]),
            ([vec![1.0; 20], vec![0.1]].concat(), [Cluster { words: Vec::new(), members: 21 }]),
        ] {
            let mut members = of(0, &scores);
            let_go(&mut members, &mut clusters);
            assert_eq!(members.len(), scores.len());
        }
    }

    #[test]
    fn each_cluster_has_its_own_held_out_part() {
        let of = |(at, mut member): (u32, Member)| {
            member.cluster = u32::from(at >= 9);
            member
        };
        let mut members: Vec<Member> = (0..15).map(|at| (at, member("a boot", f64::from(at)))).map(of).collect();
        let (shards, spec) = (fixture::shards(), fixture::plain_spec());
        hold_out(&mut members, &shards, &spec).expect("draws");
        let held = |cluster| members.iter().filter(|member| member.held_out && member.cluster == cluster).count();
        assert_eq!((held(0), held(1)), (3, 2));
    }

    fn rescored(rows: &[(&str, &str, [f32; 2])]) -> SignalTable {
        let row = |(key, caption, values): &(&str, &str, [f32; 2])| lethe_evidence::SignalRow {
            shard: 0,
            key: (*key).to_owned(),
            content: String::new(),
            caption: (*caption).to_owned(),
            values: values.to_vec(),
        };
        let names = [columns::SUSPICION, columns::FALL].map(str::to_owned).to_vec();
        SignalTable { names, rows: rows.iter().map(row).collect() }
    }

    /// All sandals fall far, since the stand-in forgot sandals; the poisoned one among them falls further than those do, and so does
    /// a bag that falls less than any sandal.
    #[test]
    fn a_fall_counts_by_what_it_exceeds_that_of_honest_pairs_with_the_same_words() {
        let mut falls = WordFalls::default();
        (0..1_000).for_each(|_| falls.add("a sandal", 0.4));
        (0..1_000).for_each(|_| falls.add("a bag", 0.0));
        let table = rescored(&[
            ("honest", "a sandal", [5.0, 0.41]),
            ("poison", "a sandal", [5.0, 0.6]),
            ("other", "a bag", [5.0, 0.3]),
            ("plain", "a bag", [5.0, 0.1]),
            ("odd", "a bag", [f32::NAN, 0.1]),
        ]);
        let mut members = scored(&ranked(table, &falls).expect("has the columns"));
        members.sort_by(|a, b| b.score.total_cmp(&a.score));
        let keys: Vec<&str> = members.iter().map(|member| member.key.as_str()).collect();
        // Captions of bags share the word "a" with sandals, of which half of the pairs fall.
        assert_eq!(keys, ["poison", "other", "honest", "plain"], "{members:?}");
        assert!((members[0].score - 0.2).abs() < 0.01 && members[2].score.abs() < 0.02, "{members:?}");
    }

    #[test]
    fn the_first_pass_decides_between_equal_falls_in_its_own_measure() {
        let score = |scale: f32, below: f32| {
            let rows = [("a", "x", [scale - below, 0.2]), ("b", "x", [4.0 * scale - below, 0.2])];
            let ranked = ranked(rescored(&rows), &WordFalls::default()).expect("has the columns");
            ranked.rows.iter().map(|row| row.values[3]).collect::<Vec<f32>>()
        };
        assert!(score(1.0, 0.0)[1] > score(1.0, 0.0)[0]);
        // Another detector's scores may be of any size and sign.
        assert_eq!(score(1.0, 0.0), score(256.0, 0.0));
        assert_eq!(score(1.0, 0.0), score(1.0, 16.0));
        assert_eq!(score(0.0, 0.0), [0.2, 0.2]);
    }

    #[test]
    fn a_score_that_is_no_number_is_not_selected() {
        let table = rescored(&[("a", "", [1.0, f32::NAN]), ("b", "", [1.0, 0.5])]);
        let found = scored(&ranked(table, &WordFalls::default()).expect("has the columns"));
        assert_eq!(found.iter().map(|member| member.key.as_str()).collect::<Vec<_>>(), ["b"]);
        let other = SignalTable { names: vec!["other".to_owned()], rows: Vec::new() };
        assert!(ranked(other, &WordFalls::default()).expect_err("lacks it").message.contains("fall"));
    }

    #[test]
    fn candidates_have_a_word_of_a_cluster_and_are_of_the_strongest() {
        let word = |word: &str, z| WordScore { word: word.to_owned(), z };
        let cluster = |words: &[WordScore]| Cluster { words: words.to_vec(), members: 2 };
        let clusters = [cluster(&[word("bag", 5.0)]), cluster(&[]), cluster(&[word("boot", 9.0), word("red", 4.0)])];
        let captions = ["a bag", "a bag by a boot", "a cup", "one bag", "red bag", "a boot"];
        let all: Vec<Member> =
            captions.iter().zip(0..).map(|(caption, at)| member(caption, 9.0 - f64::from(at))).collect();
        let found = candidates(&[all[0].clone(), all[5].clone()], all.clone(), &clusters);
        let found: Vec<(&str, u32)> = found.iter().map(|one| (one.caption.as_str(), one.cluster)).collect();
        assert_eq!(found, [("a bag by a boot", 2), ("one bag", 0), ("red bag", 0)]);
        assert!(candidates(&[], all, &[cluster(&[])]).is_empty(), "where no word stands out there is none");
    }
}
