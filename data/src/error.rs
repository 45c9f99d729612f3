//! What can be wrong with a data set as a whole, or with one image.
//!
//! It must never be used for a sample that is merely broken in its shard: that is a `BadSample`.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("shard {}: {source}", path.display())]
    Open { path: PathBuf, source: std::io::Error },
    #[error(
        "shard {name:?}: its name ends in none of {}; rename it, or take it out of data.shards",
        crate::format::ENDINGS
    )]
    Unknown { name: String },
    /// The whole shard is of no use, whoever reads it.
    #[error("shard {name}: {problem}")]
    Layout { name: String, problem: String },
    /// Its bytes could not be had; they may be another time.
    #[error("shard {name}: {reason}")]
    Broken { name: String, reason: String },
    #[error("image: {reason}")]
    Image { reason: String },
    #[error("sample {key:?} cannot be written: {problem}")]
    Unwritable { key: String, problem: String },
    #[error("writing a shard: {0}")]
    Write(#[from] std::io::Error),
}
