//! The model's files as an audit finds them when it is planned, by digest: so that its result can name what it judged.
//!
//! It must never fail a plan: a file that cannot be read here is written down as such, and whoever needs it will say so.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use lethe_common::blob::Digest;
use lethe_common::fault::Fault;
use lethe_common::record::{Found, ModelFile};
use lethe_common::spec::ModelSection;
use serde::Deserialize;

/// An output of the plan's, beside its listing of the shards.
pub(crate) const MODEL_FILES: &str = "model-files.json";

/// No index of a checkpoint has more bytes; see `lethe_model`, which reads it.
const MAX_INDEX_BYTES: u64 = 8 << 20;
const MAX_INDEX_FILES: usize = 256;

pub(super) async fn of(model: ModelSection) -> Result<Vec<ModelFile>, Fault> {
    let found = tokio::task::spawn_blocking(move || files(&model)).await;
    found.map_err(|panic| Fault::retryable(format!("the model's files were not read: {panic}")))
}

fn files(model: &ModelSection) -> Vec<ModelFile> {
    let named = [
        ("model.config", Some(&model.config)),
        ("model.checkpoint", model.checkpoint.as_ref()),
        ("model.trusted", model.trusted.as_ref()),
        ("model.early", model.early.as_ref()),
    ];
    let mut files = Vec::new();
    for (field, path) in named.into_iter().filter_map(|(field, path)| Some((field, path?))) {
        let parts = parts(path).into_iter().map(|part| path.with_file_name(part));
        for path in std::iter::once(path.clone()).chain(parts) {
            let found = look(&path).unwrap_or_else(|error| Found::Unread { problem: error.to_string() });
            files.push(ModelFile { field: field.to_owned(), path, found });
        }
    }
    files
}

fn look(path: &Path) -> io::Result<Found> {
    let file = File::open(path)?;
    let size_bytes = file.metadata()?.len();
    Ok(Found::Whole { size_bytes, blake3: Digest::of_reader(file)? })
}

/// The files of a checkpoint in several, where this is the index of one: plain names, which lie beside it.
fn parts(path: &Path) -> BTreeSet<PathBuf> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: std::collections::BTreeMap<String, String>,
    }
    let small = std::fs::metadata(path).is_ok_and(|file| file.len() <= MAX_INDEX_BYTES);
    let index = small.then(|| std::fs::read(path).ok()).flatten();
    let index: Option<Index> = index.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let plain = |name: &String| Path::new(name).file_name().is_some_and(|own| own == name.as_str());
    let names = index.into_iter().flat_map(|index| index.weight_map.into_values()).filter(plain);
    names.map(PathBuf::from).take(MAX_INDEX_FILES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(folder: &Path, checkpoint: &str) -> ModelSection {
        let json = format!(r#"{{"config": "c.json", "checkpoint": "{checkpoint}", "trusted": null}}"#);
        let mut model: ModelSection = serde_json::from_str(&json).expect("is a section");
        model.config = folder.join("c.json");
        model.checkpoint = model.checkpoint.map(|path| folder.join(path));
        model
    }

    #[test]
    fn every_file_of_a_checkpoint_is_pinned_and_one_that_is_gone_is_told() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("writes");
        write("c.json", "{}");
        write("a.safetensors", "a");
        let index =
            r#"{"weight_map": {"x": "a.safetensors", "y": "b.safetensors", "z": "a.safetensors", "w": "../c.json"}}"#;
        write("m.index.json", index);
        let found = files(&section(folder.path(), "m.index.json"));
        let told: Vec<(&str, &str, bool)> = found
            .iter()
            .map(|file| {
                let name = file.path.file_name().and_then(|name| name.to_str()).expect("is text");
                (file.field.as_str(), name, matches!(file.found, Found::Whole { .. }))
            })
            .collect();
        let expected = [
            ("model.config", "c.json", true),
            ("model.checkpoint", "m.index.json", true),
            ("model.checkpoint", "a.safetensors", true),
            ("model.checkpoint", "b.safetensors", false),
        ];
        assert_eq!(told, expected);
        assert_eq!(found[2].found, Found::Whole { size_bytes: 1, blake3: Digest::of(b"a") });
    }
}
