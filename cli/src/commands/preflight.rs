//! Checks of the files a spec names, before anything starts: what a worker would refuse later is refused here.
//!
//! It must never read the samples; a broken sample is the audit's to count.

use std::io;
use std::path::Path;

use lethe_common::spec::Spec;
use lethe_model::{Clip, ModelConfig, ModelError};
use lethe_source::{Source, SourceError};

use crate::exit::bad_input;

/// # Errors
/// Bad input: a file that is missing, a config of another kind, a checkpoint that does not fit it.
pub fn check(spec: &Spec) -> anyhow::Result<()> {
    let path = &spec.model.config;
    let text = String::from_utf8(read(path)?).map_err(|_| refuse(path, "it is not UTF-8; expected JSON"))?;
    let model = &spec.model;
    let checkpoints = [model.checkpoint.as_deref(), model.trusted.as_deref(), model.early.as_deref()];
    let config = match checkpoints[0] {
        Some(suspect) => ModelConfig::for_checkpoint(&text, &read(suspect)?, beside(suspect)),
        None => ModelConfig::from_json(&text),
    };
    let config = config.map_err(|error| refuse(to_blame(&error, path, checkpoints[0]), error))?;
    for path in checkpoints.into_iter().flatten() {
        Clip::load_with(&config, &read(path)?, beside(path)).map_err(|e| refuse(path, e))?;
    }
    Ok(())
}

/// Which of the two files an architecture that nobody can make out is the fault of: a checkpoint may have to fill in for the config.
fn to_blame<'p>(error: &ModelError, config: &'p Path, checkpoint: Option<&'p Path>) -> &'p Path {
    match error {
        ModelError::Config(_) | ModelError::Unsupported { .. } | ModelError::Contradiction { .. } => config,
        _ => checkpoint.unwrap_or(config),
    }
}

/// Whether the shards are there; of stores, whether they let us in and the first shard is there.
///
/// # Errors
/// Bad input: a pattern, a shard, or credentials that are not there.
pub fn check_shards(spec: &Spec) -> anyhow::Result<()> {
    let found = || {
        let source = Source::of(&spec.data)?;
        let shards = source.expand(&spec.data.shards)?;
        shards.iter().find(|path| path.contains("://")).map_or(Ok(()), |url| source.pin(url).map(drop))
    };
    found().map_err(|e: SourceError| bad_input(e.to_string()))
}

/// Reads the files that an index names: they lie beside it.
fn beside(path: &Path) -> impl FnMut(&str) -> io::Result<Vec<u8>> {
    |file| std::fs::read(path.with_file_name(file))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| refuse(path, e))
}

fn refuse(path: &Path, why: impl std::fmt::Display) -> anyhow::Error {
    bad_input(format!("{}: {why}", path.display()))
}
