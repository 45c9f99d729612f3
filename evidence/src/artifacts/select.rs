//! What `select` decides, the samples to forget; and what `confirm` makes of them, those that a shortcut leads and that are to
//! be dropped from the data.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::probe::Probe;
use super::report::Found;

/// Members of a cluster that are looked at in a shard, at most; candidates fill what they leave of it. As many other pairs of
/// either kind are drawn there to compare them with.
pub const MOST_OF_A_SHARD: usize = 64;
/// Candidates that are looked at in a shard however many members it has.
const LEAST_CANDIDATES: usize = 16;
/// Shards in which a cluster is looked at, at most.
const MOST_SHARDS: usize = 128;

/// D_forget, with the held-out part that unlearning never sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForgetSet {
    /// The most suspicious first.
    pub members: Vec<Member>,
    /// Where the members' scores end: those aside who are members because a person, or their pictures, said so.
    pub threshold: f64,
    /// T*: words over-represented in the members' captions against the corpus, the strongest first.
    pub words: Vec<WordScore>,
    /// The next words in line, which are not over-represented enough: how clear the case is.
    pub other_words: Vec<WordScore>,
    /// Members that share words.
    pub clusters: Vec<Cluster>,
    /// All scored pairs, of which the members are at most the share that the spec allows.
    pub scored: u64,
    /// The suspects the members were chosen among.
    pub suspects: u64,
    /// Suspects that are no members, but have a word of a cluster in their captions, the most suspicious first: `confirm` takes those in
    /// that lead as the cluster's poison does, or whose scores stand out, and leaves those that are forgotten with the members, but not
    /// dropped. None in results of earlier versions.
    #[serde(default)]
    pub candidates: Vec<Member>,
    /// How far down each cluster's scores stand out from those of honest suspects: the least score of suspects with its words of which
    /// at most 1 in 10 is expected to be honest. None where there is none, and in results of earlier versions.
    #[serde(default)]
    pub surely: Vec<Option<f64>>,
    /// The same, at most 1 in 5.
    #[serde(default)]
    pub probably: Vec<Option<f64>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    pub shard: u32,
    pub key: String,
    /// The hash of image bytes and caption, in hexadecimal.
    pub content: String,
    pub caption: String,
    /// The `rank_score`.
    pub score: f64,
    /// The place of its cluster among the set's.
    pub cluster: u32,
    /// Kept from unlearning, so that residual attraction is measured on it.
    pub held_out: bool,
}

/// What one trigger would lead to: members whose captions share words that stand out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// The strongest first; none where no word stands out among all members.
    pub words: Vec<WordScore>,
    pub members: u64,
}

/// The forget set once its clusters were probed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Confirmed {
    /// The members, and the words, of those clusters that are shortcuts; of all where none is.
    pub forget: ForgetSet,
    /// All clusters, in the forget set's order.
    pub clusters: Vec<Judged>,
}

/// One cluster, and whether a shortcut is behind it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    pub cluster: Cluster,
    pub probe: Probe,
    /// In plain words, why it is none; absent where it is one.
    pub reason: Option<String>,
    /// How many more members it had, which lead as honest pictures do. Nothing in results of earlier versions.
    #[serde(default)]
    pub let_go: u64,
    /// Nothing in results of earlier versions.
    #[serde(default)]
    pub beside: Beside,
}

/// What became of the suspects with a cluster's words that were no members by their scores. Nobody is taken in where no shortcut is
/// behind the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Beside {
    pub suspects: u64,
    /// Those whose pictures' parts were put on others.
    pub looked_at: u64,
    /// Those that are members now, since they lead as its poison does; or since their scores stand out, where poison and honest
    /// pictures do not come clearly apart by what they lead to.
    pub taken_in: u64,
    /// Those among them that came by their scores. None in results of earlier versions.
    #[serde(default)]
    pub by_score: u64,
    /// Those that are forgotten with the members, but not dropped: their scores stand out too little for that. None in results of earlier
    /// versions.
    #[serde(default)]
    pub doubtful: u64,
}

/// A word and the z-score of its log-odds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WordScore {
    pub word: String,
    pub z: f64,
}

/// The samples an operator should leave out of the next training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DropList {
    /// The most suspicious first.
    pub drop: Vec<DropEntry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DropEntry {
    pub key: String,
    /// The hash of image bytes and caption, in hexadecimal: the same in every data format.
    pub content: String,
    pub score: f64,
}

impl Judged {
    pub fn is_shortcut(&self) -> bool {
        self.reason.is_none()
    }
}

impl Confirmed {
    pub fn found(&self) -> Found {
        match self.clusters.iter().any(Judged::is_shortcut) {
            true => Found::Shortcut,
            false => Found::Nothing,
        }
    }
}

impl Member {
    /// Its shard and key, which no other sample has.
    pub fn name(&self) -> (u32, &str) {
        (self.shard, &self.key)
    }
}

impl ForgetSet {
    /// So many members for a person to look at: each cluster's first, then each one's second, and so on.
    pub fn shown(&self, count: usize) -> Vec<&Member> {
        let mut seen = vec![0_usize; self.clusters.len()];
        let mut ranked: Vec<(usize, &Member)> = Vec::with_capacity(self.members.len());
        for member in &self.members {
            let place = seen.get_mut(member.cluster as usize);
            ranked.push((place.as_ref().map_or(0, |place| **place), member));
            place.into_iter().for_each(|place| *place += 1);
        }
        ranked.sort_by_key(|(place, _)| *place);
        ranked.into_iter().take(count).map(|(_, member)| member).collect()
    }

    /// Members and candidates whose pictures are looked at, in the shards of each cluster's strongest: of a shard's members as many
    /// as fit, drawn by their content, so that they stand for all of them; and of its candidates the strongest.
    pub fn looked_at(&self) -> (Vec<&Member>, Vec<&Member>) {
        let mut shards: Vec<BTreeMap<u32, Drawn<'_>>> = self.clusters.iter().map(|_| BTreeMap::new()).collect();
        for member in &self.members {
            if let Some(drawn) = admitted(&mut shards, member) {
                drawn.members.insert((&member.content, &member.key));
                if drawn.members.len() > MOST_OF_A_SHARD {
                    drawn.members.pop_last();
                }
            }
        }
        let is_drawn = |member: &&Member| {
            let drawn = shards[member.cluster as usize].get(&member.shard);
            drawn.is_some_and(|drawn| drawn.members.contains(&(member.content.as_str(), member.key.as_str())))
        };
        let members = self.members.iter().filter(is_drawn).collect();
        let is_of_the_strongest = |candidate: &&Member| {
            admitted(&mut shards, candidate).is_some_and(|drawn| {
                drawn.candidates += 1;
                drawn.candidates <= MOST_OF_A_SHARD.saturating_sub(drawn.members.len()).max(LEAST_CANDIDATES)
            })
        };
        (members, self.candidates.iter().filter(is_of_the_strongest).collect())
    }

    /// The members that unlearning trains on.
    pub fn trained(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|m| !m.held_out)
    }

    /// The members that evaluation measures on.
    pub fn held_out(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|m| m.held_out)
    }
}

/// Of one cluster, what a shard is looked at for.
#[derive(Default)]
struct Drawn<'a> {
    /// By content and key.
    members: BTreeSet<(&'a str, &'a str)>,
    candidates: usize,
}

/// The suspect's shard among those of its cluster; nothing where there is no room for another.
fn admitted<'s, 'a>(shards: &'s mut [BTreeMap<u32, Drawn<'a>>], suspect: &Member) -> Option<&'s mut Drawn<'a>> {
    let shards = &mut shards[suspect.cluster as usize];
    let has_room = shards.len() < MOST_SHARDS || shards.contains_key(&suspect.shard);
    has_room.then(|| shards.entry(suspect.shard).or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspect(at: u32, shard: u32, cluster: u32) -> Member {
        Member {
            shard,
            key: at.to_string(),
            content: String::new(),
            caption: String::new(),
            score: -f64::from(at),
            cluster,
            held_out: false,
        }
    }

    fn forget(members: Vec<Member>, candidates: Vec<Member>) -> ForgetSet {
        ForgetSet {
            members,
            threshold: 0.0,
            words: Vec::new(),
            other_words: Vec::new(),
            clusters: vec![Cluster { words: Vec::new(), members: 3 }; 2],
            scored: 9,
            suspects: 9,
            candidates,
            surely: Vec::new(),
            probably: Vec::new(),
        }
    }

    fn keys(suspects: &[&Member]) -> Vec<u32> {
        suspects.iter().map(|suspect| suspect.key.parse().expect("is a number")).collect()
    }

    #[test]
    fn every_cluster_is_shown_by_its_most_suspicious() {
        let set = forget((0..5).map(|at| suspect(at, 0, u32::from(at > 2))).collect(), Vec::new());
        assert_eq!((keys(&set.shown(3)), keys(&set.shown(9))), (vec![0, 3, 1], vec![0, 3, 1, 4, 2]));
    }

    #[test]
    fn a_cluster_is_looked_at_in_the_shards_of_its_strongest() {
        let last = MOST_SHARDS as u32;
        let members = (0..=last).map(|at| suspect(at, at, 0)).chain([suspect(1_000, 5, 0), suspect(1_001, last, 1)]);
        let candidates = vec![suspect(1_002, 5, 0), suspect(1_003, last, 0), suspect(1_004, last + 1, 1)];
        let set = forget(members.collect(), candidates);
        let (members, candidates) = set.looked_at();
        assert_eq!(keys(&members), (0..last).chain([1_000, 1_001]).collect::<Vec<_>>());
        assert_eq!(keys(&candidates), [1_002, 1_004], "a shard may have candidates alone");
    }

    #[test]
    fn members_of_a_shard_are_drawn_by_content_and_candidates_are_the_strongest() {
        let all: Vec<Member> =
            (0..200).map(|at| Member { content: format!("{:03}", 997 * at % 200), ..suspect(at, 0, 0) }).collect();
        let looked_at = |members: usize| {
            let set = forget(all[..members].to_vec(), all[members..].to_vec());
            let (members, candidates) = set.looked_at();
            (keys(&members), keys(&candidates))
        };
        assert_eq!(looked_at(40), ((0..40).collect(), (40..64).collect()), "as many in all");
        let (members, candidates) = looked_at(100);
        assert_eq!(candidates, (100..116).collect::<Vec<_>>(), "a few beside any number of members");
        let mut contents: Vec<u32> = (0..100).map(|at| 997 * at % 200).collect();
        contents.sort_unstable();
        assert_eq!(members, (0..100).filter(|at| 997 * at % 200 <= contents[63]).collect::<Vec<_>>());
    }

    #[test]
    fn what_earlier_versions_wrote_is_read() {
        let cluster = Cluster { words: Vec::new(), members: 3 };
        let judged = Judged { cluster, probe: Probe::default(), reason: None, let_go: 0, beside: Beside::default() };
        let confirmed = Confirmed { forget: forget(Vec::new(), Vec::new()), clusters: vec![judged] };
        let mut earlier = serde_json::to_value(&confirmed).expect("is JSON");
        let without = |value: &mut serde_json::Value, names: &[&str]| {
            value.as_object_mut().expect("is one").retain(|name, _| !names.contains(&&**name));
        };
        without(&mut earlier["clusters"][0]["beside"], &["by_score", "doubtful"]);
        assert_eq!(serde_json::from_value::<Confirmed>(earlier.clone()).expect("is one"), confirmed);
        without(&mut earlier["forget"], &["candidates", "surely", "probably"]);
        without(&mut earlier["clusters"][0], &["let_go", "beside"]);
        assert_eq!(serde_json::from_value::<Confirmed>(earlier).expect("is one"), confirmed);
    }
}
