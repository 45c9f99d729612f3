//! The listing that `plan` pins and every map reads.

use lethe_common::pin::Pin;
use serde::{Deserialize, Serialize};

/// Shards that the reference phase reads at most; every one holds a key-hash sample of its own.
pub const MAX_REFERENCE_SHARDS: usize = 64;

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
    /// A path, or the URL of an object.
    pub path: String,
    pub size_bytes: u64,
    /// A source that changes under the audit is noticed by it.
    #[serde(flatten)]
    pub pin: Pin,
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

impl Shards {
    /// Pairs that each shard that is read gives to a reference set of so many.
    pub fn reference_share(&self, samples: u32) -> usize {
        (samples as usize).div_ceil(self.shards.len().clamp(1, MAX_REFERENCE_SHARDS)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use lethe_common::blob::Digest;

    use super::*;

    #[test]
    fn a_reference_set_is_as_large_whatever_the_number_of_shards() {
        for (shards, share) in [(1, 2_000), (40, 50), (64, 32), (100, 32), (100_000, 32)] {
            let entry = ShardEntry {
                id: 0,
                name: "0.tar".to_owned(),
                path: "/data/0.tar".to_owned(),
                size_bytes: 1,
                pin: Pin::Digest(Digest::of(b"")),
            };
            let shards = Shards { dataset: String::new(), shards: vec![entry; shards], total_bytes: 0 };
            assert_eq!(shards.reference_share(2_000), share);
        }
    }

    #[test]
    fn a_pin_is_one_field_and_listings_of_before_are_read() {
        let digest = Digest::of(b"");
        let old = format!(r#"{{"id":0,"name":"0.tar","path":"/0.tar","size_bytes":1,"digest":{}}}"#, json(&digest));
        let entry: ShardEntry = serde_json::from_str(&old).expect("is a listing's");
        assert_eq!((&entry.pin, json(&entry)), (&Pin::Digest(digest), old));
        let etag = ShardEntry { pin: Pin::Etag("\"1\"".to_owned()), ..entry };
        assert!(json(&etag).ends_with(r#""etag":"\"1\""}"#), "{}", json(&etag));
    }

    fn json<T: Serialize>(value: &T) -> String {
        serde_json::to_string(value).expect("is JSON")
    }
}
