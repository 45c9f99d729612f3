//! From the suspects' falls to their final score, the forget set and its clusters.
//!
//! rank_score = fall - what honest pairs with the same words lose + w ln(1 + e / mean e), e being how far the first pass's score
//! lies above that of the least suspicious suspect. A stand-in that forgets a shortcut to a word forgets something of the word, so
//! that a fall means little by itself (FINDINGS.md).
//!
//! It must never hold more than the capped suspects, nor depend on the order of shards.

mod discoveries;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use futures::TryStreamExt;
use lethe_common::fault::Fault;
use lethe_common::spec::Spec;
use lethe_evidence::SignalTable;
use lethe_evidence::artifacts::{
    Cluster, ForgetSet, Member, Shards, SuspectCut, WordFalls, WordScore, WordWeights, columns, names,
};
use lethe_evidence::otsu::above_split;
use lethe_evidence::shortcut::{Corpus, OfSuspects, SharedWords, Standout, grouped};
use lethe_evidence::words::count_words;

use self::discoveries::least_discovery;
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
/// How many of those that join a list by their scores may be honest, and how many of those that are forgotten with it (FINDINGS.md).
const SURELY: f64 = 0.1;
const PROBABLY: f64 = 0.2;
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
    let forget =
        select(said.with_unscored(&ranked, scored(&ranked)), (&cut, &falls.weights), &shards, (&ctx.spec, &said))?;
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
    (cut, weights): (&SuspectCut, &WordWeights),
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
    let of_suspects = count_words(captions(&all));
    let corpus = Corpus { words: &cut.words, suspects: Some(OfSuspects { words: &of_suspects, weights }) };
    let SharedWords { words, others } = SharedWords::of(captions(&members), corpus, standout);
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
    let ends = Ends::of(&all, &clusters);
    let [surely, probably] = [SURELY, PROBABLY].map(|rate| ends.down_to(rate));
    let candidates = candidates(&members, all, &clusters);
    Ok(ForgetSet {
        members,
        threshold,
        words,
        other_words: others,
        clusters,
        scored,
        suspects,
        candidates,
        surely,
        probably,
    })
}

/// Suspects' scores, the highest first.
struct Ends {
    /// Of those with each cluster's words.
    of_clusters: Vec<Vec<f64>>,
    /// Of those with none of any: an honest suspect with a cluster's words is taken to be as odd as one of these.
    others: Vec<f64>,
}

impl Ends {
    fn of(strongest_first: &[Member], clusters: &[Cluster]) -> Self {
        let mut ends = Self { of_clusters: vec![Vec::new(); clusters.len()], others: Vec::new() };
        for one in strongest_first {
            match home(&one.caption, clusters) {
                Some(place) => ends.of_clusters[place as usize].push(one.score),
                None => ends.others.push(one.score),
            }
        }
        ends
    }

    /// Of each cluster the least score, where at most so many are honest.
    fn down_to(&self, rate: f64) -> Vec<Option<f64>> {
        self.of_clusters.iter().map(|scores| least_discovery(scores, &self.others, rate)).collect()
    }
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

/// Marks the wanted share of each cluster's different members, those with the smallest key hashes, and no others, but never all. Equal
/// pairs are held out together, by the hash of the first: of one that unlearning sees, the other says nothing.
pub(super) fn hold_out(members: &mut [Member], shards: &Shards, spec: &Spec) -> Result<(), Fault> {
    let mut equals: BTreeMap<(u32, &str), Vec<usize>> = BTreeMap::new();
    for (at, member) in members.iter().enumerate() {
        equals.entry((member.cluster, &member.content)).or_default().push(at);
    }
    let mut drawn: BTreeMap<u32, Vec<(u64, Vec<usize>)>> = BTreeMap::new();
    for ((cluster, _), places) in equals {
        let first = places.iter().map(|&at| &members[at]).min_by_key(|member| member.name()).expect("has one");
        let name = format!("{HELD_OUT}/{}", full_key(shards, first)?);
        let hash = lethe_data::key_hash(spec.audit.seed, &shards.dataset, &name, "");
        drawn.entry(cluster).or_default().push((hash, places));
    }
    for drawn in drawn.values_mut() {
        drawn.sort_unstable();
        let count = ((spec.select.held_out_share * drawn.len() as f64).round() as usize).min(drawn.len() - 1);
        for (nth, (_, places)) in drawn.iter().enumerate() {
            places.iter().for_each(|&at| members[at].held_out = nth < count);
        }
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
#[path = "select_tests.rs"]
mod tests;
