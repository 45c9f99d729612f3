//! Checks of the files a spec names, before anything starts: what a worker would refuse later is refused here.
//!
//! It must never read the samples; a broken sample is the audit's to count.

use std::path::Path;

use lethe_common::spec::Spec;
use lethe_model::{Clip, ModelConfig};

use crate::exit::bad_input;

/// # Errors
/// Bad input: a file that is missing, a config of another kind, a checkpoint that does not fit it.
pub fn check(spec: &Spec) -> anyhow::Result<()> {
    lethe_data::expand(&spec.data.shards).map_err(|e| bad_input(e.to_string()))?;
    let path = &spec.model.config;
    let text = String::from_utf8(read(path)?).map_err(|_| refuse(path, "it is not UTF-8; expected JSON"))?;
    let config = ModelConfig::from_json(&text).map_err(|e| refuse(path, e))?;
    for path in [spec.model.checkpoint.as_deref(), spec.model.trusted.as_deref()].into_iter().flatten() {
        Clip::load(&config, &read(path)?).map_err(|e| refuse(path, e))?;
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| refuse(path, e))
}

fn refuse(path: &Path, why: impl std::fmt::Display) -> anyhow::Error {
    bad_input(format!("{}: {why}", path.display()))
}
