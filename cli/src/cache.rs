//! The user's cache folder, the same that the set-up scripts use, and drills in it by what determines them.
//!
//! It must never hold anything that cannot be made again.

use std::path::PathBuf;

use anyhow::Context;
use lethe_common::blob::Digest;
use lethe_redteam::drill::DrillFolder;
use lethe_redteam::pairs::Planting;
use lethe_redteam::recipe::{RECIPE_VERSION, Recipe};
use lethe_redteam::specs;

/// Enough of a digest to tell drills apart.
const NAME_DIGITS: usize = 16;

/// `LETHE_CACHE`, else `XDG_CACHE_HOME/lethe`, else `~/.cache/lethe`.
pub fn folder() -> anyhow::Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("LETHE_CACHE")
        .or_else(|| Some(variable("XDG_CACHE_HOME")?.join("lethe")))
        .or_else(|| Some(variable("HOME")?.join(".cache/lethe")))
        .context("no cache folder: set LETHE_CACHE to a folder")
}

/// Where a drill is kept: another recipe, training, model or version of the recipe is another folder.
pub fn drill(recipe: &Recipe, workers: u32) -> anyhow::Result<PathBuf> {
    let nowhere = DrillFolder::new("/".as_ref());
    let training = specs::train(recipe, &nowhere, Planting::Poisoned, workers)?;
    let all = serde_json::to_vec(&(RECIPE_VERSION, recipe, &training.train, workers, recipe.model_config()?))?;
    let name = &Digest::of(&all).to_hex()[..NAME_DIGITS];
    Ok(folder()?.join("drills").join(format!("{}-{}-{name}", recipe.attack, recipe.seed)))
}
