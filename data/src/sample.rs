//! One pair as it lies in a shard, or why it could not be had.
//!
//! It must never be decoded here: the image is still the file's bytes.

use bytes::Bytes;

/// An image file and its caption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The member's folder and name up to the first dot.
    pub key: String,
    /// The encoded image.
    pub image: Bytes,
    pub caption: String,
    /// Where the image came from, where the data set says so.
    pub url: Option<String>,
}

/// A sample, or the rest of a shard, that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sample {key:?}: {reason}")]
pub struct BadSample {
    /// Empty where the shard broke before any sample.
    pub key: String,
    pub reason: String,
}

/// What a member of a shard may weigh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub image_bytes: u64,
    /// Of a txt member, and of the caption inside a json member.
    pub caption_bytes: u64,
    pub json_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { image_bytes: 64 << 20, caption_bytes: 64 << 10, json_bytes: 1 << 20 }
    }
}
