//! The listing that `plan` pins and every map reads.

use lethe_common::blob::Digest;
use serde::{Deserialize, Serialize};

/// The data set as it was when the audit began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shards {
    /// What the keys of samples begin with: the audit's id.
    pub dataset: String,
    /// In ascending order of id, from 0 without gaps.
    pub shards: Vec<ShardEntry>,
    pub total_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardEntry {
    pub id: u32,
    /// The path below the folder that holds all shards: the part of a sample's full key that says which
    /// shard it lies in.
    pub name: String,
    pub path: String,
    pub size_bytes: u64,
    /// BLAKE3 of the whole file: a source that changes under the audit is noticed.
    pub digest: Digest,
}

impl ShardEntry {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A sample's name in the whole data set: unique, where the key alone need not be.
    pub fn full_key(&self, key: &str) -> String {
        format!("{}/{key}", self.name)
    }
}
