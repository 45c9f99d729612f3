//! Which of the listed samples a shard has, and the account of all that was read.
//!
//! It must never take a sample of another content for the listed one: the shard is then not the one that was audited.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::hash::content_hash;
use crate::sample::{BadSample, Sample};

/// Keys of one shard, each with the content hash that its sample must have, where it is known.
pub type Listed = BTreeMap<String, Option<String>>;

/// read = kept + dropped + unreadable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Account {
    pub read: u64,
    pub kept: u64,
    /// What lay under a listed key, whole or not.
    pub dropped: u64,
    /// Not whole, or under a key that was there before; kept as it is.
    pub unreadable: u64,
}

pub struct Meeting<'a> {
    listed: &'a Listed,
    account: Account,
    met: BTreeSet<&'a str>,
    differing: BTreeMap<&'a str, String>,
}

impl<'a> Meeting<'a> {
    pub fn new(listed: &'a Listed) -> Self {
        Self { listed, account: Account::default(), met: BTreeSet::new(), differing: BTreeMap::new() }
    }

    pub fn listed(&self) -> &'a Listed {
        self.listed
    }

    /// Takes what came next in the shard, each key once; whether it lies under a listed key.
    pub fn see(&mut self, outcome: &Result<Sample, BadSample>) -> bool {
        let key = outcome.as_ref().map_or_else(|bad| &bad.key, |sample| &sample.key);
        let entry = self.listed.get_key_value(key);
        self.account.read += 1;
        match (entry, outcome) {
            (None, Ok(_)) => self.account.kept += 1,
            (None, Err(_)) => self.account.unreadable += 1,
            (Some(_), Ok(_) | Err(_)) => self.account.dropped += 1,
        }
        if let (Some((key, content)), Ok(sample)) = (entry, outcome) {
            let found = content_hash(&sample.image, &sample.caption);
            if content.as_ref().is_none_or(|expected| *expected == found) {
                self.met.insert(key);
            } else {
                self.differing.insert(key, found);
            }
        }
        entry.is_some()
    }

    pub fn account(&self) -> Account {
        self.account
    }

    /// Keys whose sample was not there, or not whole.
    pub fn missing(&self) -> Vec<&'a str> {
        let was_there = |key: &str| self.met.contains(key) || self.differing.contains_key(key);
        self.listed.keys().map(String::as_str).filter(|key| !was_there(key)).collect()
    }

    /// Keys whose sample has another content, each with the hash that was found.
    pub fn differing(&self) -> &BTreeMap<&'a str, String> {
        &self.differing
    }
}
