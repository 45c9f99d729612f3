//! What `select` decides, the samples to forget; and what `confirm` makes of them, those that a shortcut leads and that are to
//! be dropped from the data.

use serde::{Deserialize, Serialize};

use super::probe::Probe;
use super::report::Found;

/// D_forget, with the held-out part that unlearning never sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForgetSet {
    /// The most suspicious first.
    pub members: Vec<Member>,
    /// The least `rank_score` among the members.
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
    /// Suspects that are no members, but have a word of a cluster in their captions, the most suspicious first: `confirm` takes those
    /// in that lead as the cluster's poison does. None once it has, and in results of earlier versions.
    #[serde(default)]
    pub candidates: Vec<Member>,
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
    /// How many of its members were none until their pictures were seen to lead as its poison does. Nothing in results of earlier
    /// versions.
    #[serde(default)]
    pub taken_in: u64,
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
    /// Its shard and key: no other sample has both, unless a shard has a key twice.
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

    /// The members that unlearning trains on.
    pub fn trained(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|m| !m.held_out)
    }

    /// The members that evaluation measures on.
    pub fn held_out(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|m| m.held_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cluster_is_shown_by_its_most_suspicious() {
        let member = |cluster: u32, key: &str| Member {
            shard: 0,
            key: key.to_owned(),
            content: String::new(),
            caption: String::new(),
            score: 0.0,
            cluster,
            held_out: false,
        };
        let cluster = || Cluster { words: Vec::new(), members: 3 };
        let set = ForgetSet {
            members: ["a", "b", "c"]
                .map(|key| member(0, key))
                .into_iter()
                .chain([member(1, "d"), member(1, "e")])
                .collect(),
            threshold: 0.0,
            words: Vec::new(),
            other_words: Vec::new(),
            clusters: vec![cluster(), cluster()],
            scored: 9,
            suspects: 9,
            candidates: Vec::new(),
        };
        let shown = |count| set.shown(count).iter().map(|member| member.key.as_str()).collect::<String>();
        assert_eq!((shown(3), shown(9)), ("adb".to_owned(), "adbec".to_owned()));
    }
}
