//! The victims: each is trained once and kept in the cache folder.

use std::path::Path;

use anyhow::Context;
use lethe_redteam::attack::Attack;
use lethe_redteam::data_set::Pool;
use lethe_redteam::drill::Drill;
use lethe_redteam::judge::{Judgement, Plot, judge, load};
use lethe_redteam::pairs::Planting;
use lethe_redteam::recipe::{Recipe, Start};

use super::super::shared::{CODE, Shared};
use super::remedy::Remedy;
use crate::arguments::Defence;
use crate::cache;
use crate::commands::redteam::{Drilling, folder};
use crate::exit::Ending;

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

/// What the bench asks of a seed: an attack at a rate, trained for longer than a demo's victim, so that it learns.
pub fn recipe((attack, seed): (Attack, u64), options: &Defence) -> Recipe {
    let &Defence { rate, epochs, data_set: data, tower, from_public, .. } = options;
    let start = if from_public { Start::Public } else { Start::Scratch };
    Recipe { rate, epochs, data, tower, start, ..Recipe::usual(attack, seed) }
}
