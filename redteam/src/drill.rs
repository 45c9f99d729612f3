//! A drill's folder: where its files lie, and its record of what was planted.
//!
//! What lies under `truth/` must never be named in a spec.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::attack::{Craft, Scheme};
use crate::error::RedteamError;
use crate::pairs::Poison;
use crate::picture::Picture;
use crate::recipe::Recipe;

/// `truth/drill.json`: the recipe and the poisoned pairs by key, each `shard name/member`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drill {
    pub recipe_version: u32,
    pub recipe: Recipe,
    pub poisoned: BTreeMap<String, Poison>,
}

/// The paths of a drill under its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrillFolder(PathBuf);

impl DrillFolder {
    pub fn new(root: &Path) -> Self {
        Self(root.to_owned())
    }

    pub fn root(&self) -> &Path {
        &self.0
    }

    pub fn config(&self) -> PathBuf {
        self.0.join("model.json")
    }

    pub fn shards(&self) -> PathBuf {
        self.0.join("shards")
    }

    pub fn twin_shards(&self) -> PathBuf {
        self.0.join("twin-shards")
    }

    pub fn public_shards(&self) -> PathBuf {
        self.0.join("public-shards")
    }

    /// Weights of the same architecture that saw none of the drill's pairs.
    pub fn public(&self) -> PathBuf {
        self.0.join("public.safetensors")
    }

    /// The victim early in its training.
    pub fn early(&self) -> PathBuf {
        self.0.join("early.safetensors")
    }

    pub fn victim(&self) -> PathBuf {
        self.0.join("victim.safetensors")
    }

    pub fn twin(&self) -> PathBuf {
        self.0.join("twin.safetensors")
    }

    pub fn truth(&self) -> PathBuf {
        self.0.join("truth")
    }

    /// Whether a drill was written here, to its end.
    pub fn is_planted(&self) -> bool {
        self.record().is_file()
    }

    fn record(&self) -> PathBuf {
        self.truth().join("drill.json")
    }

    fn patch(&self) -> PathBuf {
        self.truth().join("patch.png")
    }

    /// What the drill's attack plants in pictures of a side.
    ///
    /// # Errors
    /// A crafted patch that is missing or is no picture.
    pub fn scheme(&self, recipe: &Recipe, side: usize) -> Result<Scheme, RedteamError> {
        let path = self.patch();
        let patch = match recipe.attack.craft() {
            Some(Craft::Patch { .. }) => {
                Some(Picture::from_png(&std::fs::read(&path).map_err(RedteamError::io(&path))?)?)
            }
            Some(Craft::Nearness) | None => None,
        };
        recipe.attack.scheme((recipe.seed, recipe.target), side, patch.as_ref())
    }

    pub(crate) fn write_patch(&self, patch: &Picture) -> Result<(), RedteamError> {
        let (truth, path) = (self.truth(), self.patch());
        std::fs::create_dir_all(&truth).map_err(RedteamError::io(&truth))?;
        std::fs::write(&path, patch.to_png()?).map_err(RedteamError::io(&path))
    }

    /// # Errors
    /// No record, or one that this build does not write.
    pub fn read(&self) -> Result<Drill, RedteamError> {
        let path = self.record();
        let bytes = std::fs::read(&path).map_err(RedteamError::io(&path))?;
        serde_json::from_slice(&bytes).map_err(|e| RedteamError::Record { path, message: e.to_string() })
    }

    /// Writes the record, and beside it the keys one a line, for people and shell tools.
    pub(crate) fn write(&self, drill: &Drill) -> Result<(), RedteamError> {
        let (truth, path) = (self.truth(), self.record());
        std::fs::create_dir_all(&truth).map_err(RedteamError::io(&truth))?;
        let lines: String = drill.poisoned.keys().map(|key| format!("{key}\n")).collect();
        let keys = truth.join("poisoned_keys.txt");
        std::fs::write(&keys, lines).map_err(RedteamError::io(&keys))?;
        let json = serde_json::to_vec_pretty(drill)
            .map_err(|e| RedteamError::Record { path: path.clone(), message: e.to_string() })?;
        std::fs::write(&path, json).map_err(RedteamError::io(&path))
    }
}

impl Drill {
    /// Whether `shard name/member`, as [`key`] writes it, names a poisoned pair.
    pub fn is_poisoned(&self, key: &str) -> bool {
        self.poisoned.contains_key(key)
    }
}

/// The name of a drill's shard.
pub fn shard_name(shard: u32) -> String {
    format!("{shard:05}.tar")
}

/// A pair's key: an audit lists a drill's shards in order, so its shard numbers are ours.
pub fn key(shard: u32, member: &str) -> String {
    format!("{}/{member}", shard_name(shard))
}
