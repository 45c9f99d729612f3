//! The victims: each is trained once and kept in the cache folder; twins and public weights are shared by the attacks of one
//! seed, which differ in the poison alone.

use std::path::{Path, PathBuf};

use anyhow::Context;
use lethe_common::blob::Digest;
use lethe_redteam::attack::Attack;
use lethe_redteam::data_set::Pool;
use lethe_redteam::drill::Drill;
use lethe_redteam::judge::{Judgement, Plot, judge, load};
use lethe_redteam::pairs::Planting;
use lethe_redteam::recipe::{Recipe, Start};

use super::remedy::Remedy;
use crate::arguments::Defence;
use crate::cache;
use crate::commands::redteam::{Drilling, folder};
use crate::exit::Ending;

/// Of the code that determines a victim; build.rs says which that is.
const CODE: &str = env!("LETHE_VICTIM");

/// A victim that lies ready, with its judgement before any remedy.
pub struct Victim {
    pub drilling: Drilling,
    pub drill: Drill,
    pub plot: Plot,
    pub before: Judgement,
    pub twin: Judgement,
}

impl Victim {
    /// Trains what is missing. `None` when interrupted.
    pub fn prepare(
        recipe: &Recipe,
        (data, test): (&Path, &dyn Pool),
        remedy: Remedy,
        workers: u32,
    ) -> anyhow::Result<Option<Self>> {
        let root = cache::drill(recipe, workers)?;
        let drilling = Drilling { recipe: recipe.clone(), folder: folder(&root)?, workers };
        let shared = Shared::of(recipe, workers)?;
        // A victim of other code, or of code that nobody knows, may have other pairs or another training.
        let made_by = root.join("made-by.txt");
        if std::fs::read_to_string(&made_by).ok().as_deref() != Some(CODE) {
            std::fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
            folder(&root)?;
            std::fs::write(&made_by, CODE).with_context(|| format!("cannot write {}", made_by.display()))?;
        }
        let (public, twin) = (drilling.folder.public(), drilling.folder.twin());
        if remedy.needs_other_weights() || recipe.needs_public() {
            shared.lend("public", &public)?;
            if drilling.make_public(data)? == Ending::Interrupted {
                return Ok(None);
            }
            shared.keep("public", &public)?;
        }
        let drill = drilling.plant(data)?;
        if drilling.train(Planting::Poisoned)? == Ending::Interrupted {
            return Ok(None);
        }
        if remedy.needs_other_weights() && drilling.train_early()? == Ending::Interrupted {
            return Ok(None);
        }
        shared.lend("twin", &twin)?;
        if !twin.is_file() {
            drilling.plant_twin(data)?;
        }
        if drilling.train(Planting::Clean)? == Ending::Interrupted {
            return Ok(None);
        }
        shared.keep("twin", &twin)?;
        let plot = Plot::of(&drilling.folder, test)?;
        let judged = |checkpoint: &Path| judge(&load(checkpoint, &drilling.folder.config())?, test, Some(&plot));
        let (before, twin) = (judged(&drilling.folder.victim())?, judged(&twin)?);
        Ok(Some(Self { drilling, drill, plot, before, twin }))
    }

    pub fn judge(&self, checkpoint: &Path, test: &dyn Pool) -> anyhow::Result<Judgement> {
        Ok(judge(&load(checkpoint, &self.drilling.folder.config())?, test, Some(&self.plot))?)
    }
}

/// Weights that do not depend on the attack.
struct Shared(PathBuf);

impl Shared {
    fn of(recipe: &Recipe, workers: u32) -> anyhow::Result<Self> {
        let Recipe { attack: _, target: _, rate: _, seed, pairs, start, epochs, data, tower } = recipe;
        let all = (CODE, recipe.model_config()?, seed, pairs, start, epochs, data, tower, workers);
        let name = Digest::of(&serde_json::to_vec(&all)?).to_hex();
        Ok(Self(cache::folder()?.join("drills/shared").join(&name[..16])))
    }

    fn path(&self, role: &str) -> PathBuf {
        self.0.join(format!("{role}.safetensors"))
    }

    fn lend(&self, role: &str, to: &Path) -> anyhow::Result<()> {
        link(&self.path(role), to)
    }

    fn keep(&self, role: &str, from: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.0).with_context(|| format!("cannot make the folder {}", self.0.display()))?;
        link(from, &self.path(role))
    }
}

/// Nothing where there is nothing to link, or something already.
fn link(from: &Path, to: &Path) -> anyhow::Result<()> {
    if !from.is_file() || to.is_file() {
        return Ok(());
    }
    std::fs::hard_link(from, to).with_context(|| format!("cannot link {} to {}", from.display(), to.display()))
}

/// What the bench asks of a seed: an attack at a rate, trained for longer than a demo's victim, so that it learns.
pub fn recipe((attack, seed): (Attack, u64), options: &Defence) -> Recipe {
    let &Defence { rate, epochs, data_set: data, tower, .. } = options;
    Recipe { rate, epochs, data, tower, start: Start::Scratch, ..Recipe::usual(attack, seed) }
}

#[cfg(test)]
mod tests {
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
