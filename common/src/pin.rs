//! What tells that a shard is still the one that an audit was planned with.
//!
//! It must never be weaker than what its source gives: a file's bytes, or an object's own version.

use serde::{Deserialize, Serialize};

use crate::blob::Digest;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pin {
    /// BLAKE3 of a whole file.
    Digest(Digest),
    /// As the store gave it. A store that gives none is not read.
    Etag(String),
    /// Of an https server without ETags: when the file was changed last, to the second.
    Modified(String),
}

impl Pin {
    /// What it is called, and its value.
    pub fn shown(&self) -> (&'static str, String) {
        match self {
            Self::Digest(digest) => ("BLAKE3", digest.to_hex()),
            Self::Etag(etag) => ("ETag", etag.trim_matches('"').to_owned()),
            Self::Modified(when) => ("modified", when.clone()),
        }
    }
}
