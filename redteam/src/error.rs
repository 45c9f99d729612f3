//! What can go wrong in a drill, by what the caller can do about it.

use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum RedteamError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{} is not {what}: {message}", path.display())]
    Dataset { what: &'static str, path: PathBuf, message: String },
    #[error("{0}")]
    Recipe(String),
    #[error("{} is not a drill's record: {message}", path.display())]
    Record { path: PathBuf, message: String },
    #[error("cannot write a shard: {0}")]
    Shard(#[from] lethe_data::DataError),
    #[error("{0}")]
    Model(#[from] lethe_model::ModelError),
    #[error("{}: {source}", path.display())]
    Checkpoint { path: PathBuf, source: lethe_model::ModelError },
}

impl RedteamError {
    pub(crate) fn dataset(what: &'static str, path: &Path, message: String) -> Self {
        Self::Dataset { what, path: path.to_owned(), message }
    }

    /// For `map_err` at a file operation.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}
