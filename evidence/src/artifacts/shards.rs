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
    pub path: String,
    pub size_bytes: u64,
    /// BLAKE3 of the whole file: a source that changes under the audit is noticed.
    pub digest: Digest,
}

impl ShardEntry {
    /// The file's name, the part of a sample's key that says which shard it lies in.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}
