//! Weights that no attack has touched: all attacks of a seed share its twin and its public weights, and so do audits of clean
//! models. They are kept in the cache folder.

use std::path::{Path, PathBuf};

use anyhow::Context;
use lethe_common::blob::Digest;
use lethe_redteam::recipe::Recipe;

use crate::cache;

/// Of the code that determines how a model comes out of training; build.rs says which that is.
pub(super) const CODE: &str = env!("LETHE_VICTIM");

/// A seed's weights.
pub(super) struct Shared(PathBuf);

impl Shared {
    pub fn of(recipe: &Recipe, workers: u32) -> anyhow::Result<Self> {
        let Recipe { attack: _, target: _, rate: _, seed, pairs, start, epochs, data, tower } = recipe;
        let all = (CODE, recipe.model_config()?, seed, pairs, start, epochs, data, tower, workers);
        let name = Digest::of(&serde_json::to_vec(&all)?).to_hex();
        Ok(Self(cache::folder()?.join("drills/shared").join(&name[..16])))
    }

    fn path(&self, role: &str) -> PathBuf {
        self.0.join(format!("{role}.safetensors"))
    }

    /// Puts them there, where they are kept and it has none.
    pub fn lend(&self, role: &str, to: &Path) -> anyhow::Result<()> {
        link(&self.path(role), to)
    }

    pub fn keep(&self, role: &str, from: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.0).with_context(|| format!("cannot make the folder {}", self.0.display()))?;
        link(from, &self.path(role))
    }
}

/// Nothing where there is nothing to link, or something already. Across file systems it is a copy.
fn link(from: &Path, to: &Path) -> anyhow::Result<()> {
    if !from.is_file() || to.is_file() {
        return Ok(());
    }
    let copy = |_| {
        // Of this copy alone: another bench may be putting the same weights there.
        let half = tempfile::NamedTempFile::new_in(to.parent().unwrap_or(Path::new(".")))?;
        std::fs::copy(from, &half)?;
        half.persist(to).map(drop).map_err(|e| e.error)
    };
    let linked = std::fs::hard_link(from, to).or_else(copy);
    linked.with_context(|| format!("cannot put {} to {}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use lethe_redteam::attack::Attack;
    use lethe_redteam::data_set::DataSet;
    use lethe_redteam::recipe::Tower;

    use super::*;

    #[test]
    fn attacks_of_a_seed_share_and_seeds_do_not() {
        let folder_of = |recipe: &Recipe| Shared::of(recipe, 1).expect("has a cache").0;
        let folder = |attack, seed| folder_of(&Recipe::usual(attack, seed));
        assert_eq!(folder(Attack::Badnet, 1), folder(Attack::Sig, 1));
        assert_ne!(folder(Attack::Badnet, 1), folder(Attack::Badnet, 2));
        let drawings = Recipe { data: DataSet::Drawings, ..Recipe::usual(Attack::Badnet, 1) };
        let resnet = Recipe { tower: Tower::Resnet, ..drawings.clone() };
        assert_ne!(folder(Attack::Badnet, 1), folder_of(&drawings));
        assert_ne!(folder_of(&drawings), folder_of(&resnet));
    }

    #[test]
    fn weights_are_lent_once_they_are_kept() {
        let root = tempfile::tempdir().expect("makes a folder");
        let shared = Shared(root.path().to_owned());
        let (one, two) = (root.path().join("one"), root.path().join("two"));
        shared.lend("twin", &two).expect("has none to lend");
        assert!(!two.is_file());
        std::fs::write(&one, "weights").expect("writes");
        shared.keep("twin", &one).expect("keeps");
        shared.lend("twin", &two).expect("lends");
        assert_eq!(std::fs::read_to_string(two).expect("reads"), "weights");
    }
}
