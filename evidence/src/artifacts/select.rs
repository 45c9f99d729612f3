//! What `select` decides: the samples to forget, and those to drop from the data.

use serde::{Deserialize, Serialize};

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
    /// All scored pairs, of which the members are at most the share that the spec allows.
    pub scored: u64,
    /// The suspects the members were chosen among.
    pub suspects: u64,
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
    /// Kept from unlearning, so that residual attraction is measured on it.
    pub held_out: bool,
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

impl ForgetSet {
    /// The members that unlearning trains on.
    pub fn trained(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|m| !m.held_out)
    }

    /// The members that evaluation measures on.
    pub fn held_out(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|m| m.held_out)
    }
}
