//! Models to measure with: random weights, the same for everybody, in open_clip's names.

use std::path::{Path, PathBuf};

use anyhow::Context;
use lethe_model::{Clip, ModelConfig};
use serde_json::Value;

/// Writes a config and its checkpoint; gives their paths.
pub fn write(folder: &Path, name: &str, config: &Value) -> anyhow::Result<(PathBuf, PathBuf)> {
    let text = config.to_string();
    let weights = Clip::init(&ModelConfig::from_json(&text)?, 1)?.save()?;
    let put = |ending: &str, bytes: &[u8]| {
        let path = folder.join(format!("{name}.{ending}"));
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        anyhow::Ok(path)
    };
    Ok((put("json", text.as_bytes())?, put("safetensors", &weights)?))
}
