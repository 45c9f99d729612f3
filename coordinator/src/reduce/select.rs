//! From the suspects' second scores to the forget set and its clusters.
//!
//! It must never hold more than the capped suspects, nor depend on the order of shards.

use std::collections::BTreeMap;

use lethe_common::fault::Fault;
use lethe_common::spec::Spec;
use lethe_evidence::SignalTable;
use lethe_evidence::artifacts::{Cluster, ForgetSet, Member, Shards, SuspectCut, WordScore, columns, names};
use lethe_evidence::otsu::above_split;
use lethe_evidence::shortcut::{SharedWords, Standout, grouped};

use super::{ReduceContext, ReduceResult};

/// A word stands out when its z-score is at least this part of the strongest's: the weaker of two shortcuts has fewer members.
const OF_STRONGEST: f64 = 0.2;
/// Fewer members than this are no cluster: nothing can be said of them.
const LEAST_MEMBERS: usize = 5;
/// Clusters at most, those with the strongest words.
const MOST_CLUSTERS: usize = 8;
/// Sets the draw of the held-out part apart from other draws by key hash.
const HELD_OUT: &str = "held-out";

pub(super) async fn run(ctx: &ReduceContext) -> Result<ReduceResult, Fault> {
    let shards: Shards = ctx.only_json(names::SHARDS).await?;
    let cut: SuspectCut = ctx.only_json(names::CUT).await?;
    let mut suspects = Vec::new();
    for input in ctx.named(names::RESCORED) {
        suspects.extend(candidates(ctx.signals(input).await?)?);
    }
    let forget = select(suspects, &cut, &shards, &ctx.spec)?;
    Ok(ReduceResult { outputs: vec![ctx.write_json(names::FORGET, &forget).await?], outline: None })
}

/// A shard's suspects; without a number for a score, none can be selected.
fn candidates(table: SignalTable) -> Result<Vec<Member>, Fault> {
    let at = table.position(columns::RANK_SCORE).ok_or_else(|| {
        Fault::fatal(format!("{} lacks the column {}; found {:?}", names::RESCORED, columns::RANK_SCORE, table.names))
    })?;
    let member = |row: lethe_evidence::SignalRow| Member {
        shard: row.shard,
        key: row.key,
        content: row.content,
        caption: row.caption,
        score: f64::from(row.values[at]),
        cluster: 0,
        held_out: false,
    };
    Ok(table.rows.into_iter().map(member).filter(|member| !member.score.is_nan()).collect())
}

fn select(mut members: Vec<Member>, cut: &SuspectCut, shards: &Shards, spec: &Spec) -> Result<ForgetSet, Fault> {
    let suspects = members.len() as u64;
    members.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| (a.shard, &a.key).cmp(&(b.shard, &b.key))));
    members.truncate(forgotten(&members, cut.counts.scored, spec));
    let standout = Standout { min_z: spec.localize.min_z, of_strongest: OF_STRONGEST };
    let SharedWords { words, others } = SharedWords::of(captions(&members), &cut.words, standout);
    let clusters = clustered(&mut members, &words);
    let Some(threshold) = members.last().map(|member| member.score) else {
        return Err(Fault::fatal(format!(
            "none of the {} suspects has a second score, so nothing can be selected",
            cut.suspects
        )));
    };
    hold_out(&mut members, shards, spec)?;
    let words = words.into_iter().filter(|word| clusters.iter().any(|cluster| cluster.words.contains(word))).collect();
    let scored = cut.counts.scored;
    Ok(ForgetSet { members, threshold, words, other_words: others, clusters, scored, suspects })
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

/// How many of the members, the strongest first, are forgotten: those above Otsu's threshold on their second scores, at least
/// one and at most the share that the spec allows.
fn forgotten(members: &[Member], scored: u64, spec: &Spec) -> usize {
    let scores: Vec<f64> = members.iter().map(|member| member.score).collect();
    let most = (spec.select.max_share * scored as f64) as usize;
    above_split(&scores).min(most).max(1)
}

/// Marks the wanted share of each cluster's members: those with the smallest key hashes.
fn hold_out(members: &mut [Member], shards: &Shards, spec: &Spec) -> Result<(), Fault> {
    let mut drawn: BTreeMap<u32, Vec<(u64, usize)>> = BTreeMap::new();
    for (at, member) in members.iter().enumerate() {
        let name = format!("{HELD_OUT}/{}", full_key(shards, member)?);
        let hash = lethe_data::key_hash(spec.audit.seed, &shards.dataset, &name, "");
        drawn.entry(member.cluster).or_default().push((hash, at));
    }
    for drawn in drawn.values_mut() {
        drawn.sort_unstable();
        let count = (spec.select.held_out_share * drawn.len() as f64).round() as usize;
        drawn.iter().take(count).for_each(|&(_, at)| members[at].held_out = true);
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

    #[test]
    fn a_score_that_is_no_number_is_not_selected() {
        let row = |key: &str, score: f32| lethe_evidence::SignalRow {
            shard: 0,
            key: key.to_owned(),
            content: String::new(),
            caption: String::new(),
            values: vec![score],
        };
        let table =
            |names: &str| SignalTable { names: vec![names.to_owned()], rows: vec![row("a", f32::NAN), row("b", 0.5)] };
        let found = candidates(table(columns::RANK_SCORE)).expect("has the column");
        assert_eq!(found.iter().map(|member| member.key.as_str()).collect::<Vec<_>>(), ["b"]);
        assert!(candidates(table("other")).expect_err("lacks it").message.contains("rank_score"));
    }
}
