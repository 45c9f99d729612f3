//! What people said of suspects, and what follows: who is said to be clean is never forgotten nor dropped, who is said to be poison
//! always is, whether a shortcut is behind his cluster or not.
//!
//! `select` takes the marks of the audit and hands them on with its results, so that later phases hold to those that it held to.
//! Where nobody has marked anything, nothing here may change anything.

use std::collections::{BTreeMap, BTreeSet};

use lethe_common::blob::NamedBlob;
use lethe_common::fault::Fault;
use lethe_evidence::artifacts::{Cluster, ForgetSet, Judged, MarkCounts, Member, WordScore, decode, names};
use lethe_evidence::shortcut::{Corpus, SharedWords, Standout};
use lethe_evidence::words::caption_words;
use lethe_evidence::{SignalTable, WordCounts};

use super::ReduceContext;
use super::io::blob_fault;
use super::select::{member, strongest_first};
use crate::review::{Judgement, Marks};

/// The marks that count, as an output of `select`; there is none where nobody has marked anything.
const HANDED_ON: &str = "marks.json";

#[derive(Debug, Default)]
pub(super) struct Said(Marks);

impl Said {
    /// What people have said by now.
    pub async fn of_audit(ctx: &ReduceContext) -> Result<Self, Fault> {
        let Some(blob) = ctx.view.as_ref().and_then(|view| view.marks.as_ref()) else { return Ok(Self::default()) };
        let bytes = ctx.blobs.get(blob).await.map_err(blob_fault)?;
        decode(HANDED_ON, &bytes).map(Self).map_err(|e| Fault::fatal(e.to_string()))
    }

    /// What `select` held to.
    pub async fn handed_on(ctx: &ReduceContext) -> Result<Self, Fault> {
        match ctx.named(HANDED_ON)[..] {
            [] => Ok(Self::default()),
            _ => ctx.only_json(HANDED_ON).await.map(Self),
        }
    }

    pub async fn hand_on(&self, ctx: &ReduceContext) -> Result<Option<NamedBlob>, Fault> {
        match self.is_silent() {
            true => Ok(None),
            false => ctx.write_json(HANDED_ON, &self.0).await.map(Some),
        }
    }

    /// For the report: those of these suspects. A run again from before they were chosen may have others.
    pub async fn counts(&self, ctx: &ReduceContext) -> Result<Option<MarkCounts>, Fault> {
        if self.is_silent() {
            return Ok(None);
        }
        let suspects = ctx.signals(ctx.only(names::RANKED)?).await?;
        let mut counts = MarkCounts { poison: 0, clean: 0 };
        for mark in suspects.rows.iter().filter_map(|row| self.0.of(row.shard, &row.key, &row.content)) {
            match mark.judgement {
                Judgement::Poison => counts.poison += 1,
                Judgement::Clean => counts.clean += 1,
            }
        }
        Ok(Some(counts))
    }

    #[cfg(test)]
    pub fn poison_is(member: &Member) -> Self {
        let (key, content) = (member.key.clone(), member.content.clone());
        let change = crate::review::Change { shard: member.shard, key, content, judgement: Some(Judgement::Poison) };
        let mut marks = Marks::default();
        marks.apply(&[change], ("ann", lethe_common::time::Millis(1)));
        Self(marks)
    }

    fn is_silent(&self) -> bool {
        self.0.all().next().is_none()
    }

    fn is(&self, member: &Member, judgement: Judgement) -> bool {
        self.0.of(member.shard, &member.key, &member.content).is_some_and(|mark| mark.judgement == judgement)
    }

    pub fn is_poison(&self, member: &Member) -> bool {
        self.is(member, Judgement::Poison)
    }

    /// Who has no number for a score is none otherwise; poison comes last among them then.
    pub fn with_unscored(&self, ranked: &SignalTable, mut scored: Vec<Member>) -> Vec<Member> {
        let unscored = ranked.rows.iter().map(member).filter(|one| one.score.is_nan() && self.is_poison(one));
        let least = scored.iter().map(|one| one.score).fold(f64::INFINITY, f64::min);
        let score = if least.is_finite() { least } else { 0.0 };
        scored.extend(unscored.map(|one| Member { score, ..one }));
        scored
    }

    /// Lets go who is clean.
    pub fn clear(&self, members: &mut Vec<Member>) {
        members.retain(|one| !self.is(one, Judgement::Clean));
    }

    /// So many of the strongest, and who is poison.
    pub fn keep(&self, members: &mut Vec<Member>, strongest: usize) {
        let mut at = 0;
        members.retain(|one| {
            at += 1;
            at <= strongest || self.is_poison(one)
        });
    }

    pub fn poison(&self, members: &[Member]) -> Vec<Member> {
        members.iter().filter(|one| self.is_poison(one)).cloned().collect()
    }

    /// The least score of those whom nobody had to name: where the others begin. Where people cleared all of them, it is above
    /// the highest; nothing where there never was anybody.
    pub fn threshold(&self, members: &[Member], highest: f64) -> Option<f64> {
        let unnamed = members.iter().rev().find(|one| !self.is_poison(one));
        let cleared = (!self.is_silent() && highest.is_finite()).then_some(highest);
        unnamed.or(members.last()).map(|one| one.score).or(cleared)
    }

    /// Puts poison that lies in no cluster with words into the one with the strongest word of its caption, or else into one of its own, with the
    /// words that its captions share or those that stand out in each. Gives the words that no other cluster has.
    pub fn bring_back(
        &self,
        poison: Vec<Member>,
        (members, clusters): (&mut Vec<Member>, &mut Vec<Cluster>),
        corpus: &WordCounts,
    ) -> Vec<WordScore> {
        // Where people cleared all of them, nothing is left that could lead anywhere.
        if members.is_empty() {
            clusters.clear();
        }
        let settled: BTreeSet<(u32, String)> = members
            .iter()
            .filter(|one| !clusters[one.cluster as usize].words.is_empty())
            .map(|one| (one.shard, one.key.clone()))
            .collect();
        let lost = poison.into_iter().filter(|one| !settled.contains(&(one.shard, one.key.clone())));
        let mut lost: Vec<Member> = lost.collect();
        if lost.is_empty() {
            return Vec::new();
        }
        let names: BTreeSet<(u32, String)> = lost.iter().map(|one| (one.shard, one.key.clone())).collect();
        members.retain(|one| !names.contains(&(one.shard, one.key.clone())));
        let own = clusters.len() as u32;
        lost.iter_mut().for_each(|one| one.cluster = home(&one.caption, clusters).unwrap_or(own));
        let homeless: Vec<&str> = lost.iter().filter(|one| one.cluster == own).map(|one| &*one.caption).collect();
        let words = if homeless.is_empty() { Vec::new() } else { words_of(&homeless, corpus) };
        if !homeless.is_empty() {
            clusters.push(Cluster { words: words.clone(), members: 0 });
        }
        members.extend(lost);
        strongest_first(members);
        recount(members, clusters);
        words
    }

    /// Who is poison is behind a shortcut, whatever the probe makes of his cluster: where it found none, poison becomes a cluster of
    /// its own with the same words.
    pub fn insist(&self, forget: &mut ForgetSet, clusters: &mut Vec<Judged>) {
        for place in 0..clusters.len() {
            let is_poison = |one: &Member| one.cluster as usize == place && self.is_poison(one);
            let poison = forget.members.iter().filter(|one| is_poison(one)).count() as u64;
            if clusters[place].is_shortcut() || poison == 0 {
                continue;
            }
            if poison == clusters[place].cluster.members {
                clusters[place].reason = None;
                continue;
            }
            let own = clusters.len() as u32;
            forget.members.iter_mut().filter(|one| is_poison(one)).for_each(|one| one.cluster = own);
            let cluster = Cluster { words: clusters[place].cluster.words.clone(), members: poison };
            clusters[place].cluster.members -= poison;
            forget.clusters[place].members -= poison;
            forget.clusters.push(cluster.clone());
            clusters.push(Judged {
                cluster,
                probe: clusters[place].probe,
                reason: None,
                let_go: 0,
                beside: Default::default(),
            });
        }
    }
}

/// The cluster with the strongest word of the caption's.
pub(super) fn home(caption: &str, clusters: &[Cluster]) -> Option<u32> {
    let words: BTreeSet<String> = caption_words(caption).collect();
    let shared =
        clusters.iter().zip(0..).flat_map(|(cluster, place)| cluster.words.iter().map(move |score| (score, place)));
    let shared = shared.filter(|(score, _)| words.contains(&score.word));
    shared.max_by(|(a, x), (b, y)| a.z.total_cmp(&b.z).then(y.cmp(x))).map(|(_, place)| place)
}

/// Any word that is more frequent here than elsewhere will do: a person has said what these are.
const ANY: Standout = Standout { min_z: 0.0, of_strongest: 0.0 };

/// Of each caption the word that stands out most among all of these.
fn words_of(captions: &[&str], corpus: &WordCounts) -> Vec<WordScore> {
    let corpus = Corpus { words: corpus, suspects: None };
    let words = SharedWords::of(captions.iter().copied(), corpus, ANY).words;
    let places: BTreeMap<&str, usize> = words.iter().enumerate().map(|(at, score)| (score.word.as_str(), at)).collect();
    let strongest = |caption: &&str| caption_words(caption).filter_map(|word| places.get(word.as_str()).copied()).min();
    let kept: BTreeSet<usize> = captions.iter().filter_map(strongest).collect();
    kept.into_iter().map(|at| words[at].clone()).collect()
}

/// Counts each cluster's members; one that lost all goes.
fn recount(members: &mut [Member], clusters: &mut Vec<Cluster>) {
    let mut counts = vec![0; clusters.len()];
    members.iter().for_each(|one| counts[one.cluster as usize] += 1);
    clusters.iter_mut().zip(&counts).for_each(|(cluster, count)| cluster.members = *count);
    let place = |next: &mut u32, count: &u64| Some(std::mem::replace(next, *next + u32::from(*count > 0)));
    let places: Vec<u32> = counts.iter().scan(0, place).collect();
    members.iter_mut().for_each(|one| one.cluster = places[one.cluster as usize]);
    clusters.retain(|cluster| cluster.members > 0);
}

#[cfg(test)]
#[path = "marks_tests.rs"]
mod tests;
