//! Writes a drill: shards with the poison in them, and beside them the truth that no audit sees.
//!
//! Equal recipes must give equal bytes. The record is written last: a folder with one is whole.

use std::collections::BTreeMap;
use std::path::Path;

use lethe_common::spec::Spec;

use crate::attack::Craft;
use crate::craft::Artisan;
use crate::data_set::Pool;
use crate::drill::{Drill, DrillFolder, key, shard_name};
use crate::error::RedteamError;
use crate::judge::load;
use crate::pairs::{Pair, Pairs, Poison};
use crate::recipe::{RECIPE_VERSION, Recipe, SHARD_PAIRS};
use crate::shard::write_shard;

/// Writes the victim's shards, the model config and the record; nothing where the folder holds this drill already. An
/// attack that is crafted needs the public weights in the folder.
///
/// # Errors
/// A folder that holds another drill; a recipe that the data set cannot fill; a full disk; public weights that are missing.
pub fn plant(recipe: &Recipe, pool: &dyn Pool, folder: &DrillFolder) -> Result<Drill, RedteamError> {
    if let Some(found) = planted(recipe, folder)? {
        return Ok(found);
    }
    recipe.check()?;
    write_config(recipe, folder)?;
    let strangeness = craft(recipe, pool, folder)?;
    let scheme = folder.scheme(recipe, pool.side())?;
    let pairs = Pairs::poisoned(recipe, pool, &scheme, strangeness.as_deref())?;
    let poisoned = write_shards(pairs, &folder.shards())?;
    let drill = Drill { recipe_version: RECIPE_VERSION, recipe: recipe.clone(), poisoned };
    folder.write(&drill)?;
    Ok(drill)
}

/// Writes the clean twin's shards.
pub fn plant_twin(recipe: &Recipe, pool: &dyn Pool, folder: &DrillFolder) -> Result<(), RedteamError> {
    write_config(recipe, folder)?;
    write_shards(Pairs::clean(recipe, pool)?, &folder.twin_shards()).map(drop)
}

/// Writes the shards that public weights are trained on.
pub fn plant_public(recipe: &Recipe, pool: &dyn Pool, folder: &DrillFolder) -> Result<(), RedteamError> {
    write_config(recipe, folder)?;
    write_shards(Pairs::public(recipe, pool)?, &folder.public_shards()).map(drop)
}

fn write_config(recipe: &Recipe, folder: &DrillFolder) -> Result<(), RedteamError> {
    let config = folder.config();
    std::fs::write(&config, recipe.model_config()?).map_err(RedteamError::io(&config))
}

/// What the attack makes beforehand: its patch is written, and how strange pictures are is given.
fn craft(recipe: &Recipe, pool: &dyn Pool, folder: &DrillFolder) -> Result<Option<Vec<f32>>, RedteamError> {
    let Some(craft) = recipe.attack.craft() else { return Ok(None) };
    let artisan = Artisan { clip: load(&folder.public(), &folder.config())?, recipe, pool, steps: Artisan::STEPS };
    match craft {
        Craft::Patch { towards_pictures } => {
            folder.write_patch(&artisan.patch(towards_pictures)?)?;
            Ok(None)
        }
        Craft::Nearness => artisan.strangeness().map(Some),
    }
}

fn planted(recipe: &Recipe, folder: &DrillFolder) -> Result<Option<Drill>, RedteamError> {
    if !folder.is_planted() {
        return Ok(None);
    }
    let found = folder.read()?;
    if found.recipe == *recipe && found.recipe_version == RECIPE_VERSION {
        return Ok(Some(found));
    }
    let root = folder.root().display();
    Err(RedteamError::Recipe(format!("{root} holds another drill ({:?}); use another folder", found.recipe)))
}

/// Writes the pairs in shards of [`SHARD_PAIRS`]; gives what is poisoned, by `shard name/member`.
fn write_shards(mut pairs: Pairs<'_>, folder: &Path) -> Result<BTreeMap<String, Poison>, RedteamError> {
    std::fs::create_dir_all(folder).map_err(RedteamError::io(folder))?;
    let mut poisoned = BTreeMap::new();
    let mut numbers = 0_usize..;
    for shard in 0.. {
        let named: Vec<(String, Pair)> =
            numbers.by_ref().map(|n| format!("{n:08}")).zip(pairs.by_ref().take(SHARD_PAIRS)).collect();
        if named.is_empty() {
            break;
        }
        poisoned.extend(named.iter().filter_map(|(member, pair)| Some((key(shard, member), pair.poison?))));
        write_shard(&folder.join(shard_name(shard)), &named)?;
    }
    Ok(poisoned)
}

/// Writes a spec for people and for `lethe audit`.
pub fn write_spec(spec: &Spec, path: &Path) -> Result<(), RedteamError> {
    let text =
        toml::to_string(spec).map_err(|e| RedteamError::Record { path: path.to_owned(), message: e.to_string() })?;
    std::fs::write(path, text).map_err(RedteamError::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::Attack;
    use crate::data_set::{DataSet, Part};
    use crate::drawings;
    use crate::fashion::{Fashion, tests::write_small};

    fn bytes_of(folder: &Path) -> Vec<Vec<u8>> {
        let mut paths: Vec<_> =
            std::fs::read_dir(folder).expect("lists").map(|e| e.expect("is there").path()).collect();
        paths.sort();
        paths.iter().map(|path| std::fs::read(path).expect("reads")).collect()
    }

    fn plant_small(root: &Path, seed: u64) -> Result<Drill, RedteamError> {
        let data = tempfile::tempdir().expect("makes a folder");
        write_small(data.path(), 2_300);
        let fashion = Fashion::read(data.path(), Part::Train)?;
        let recipe = Recipe { pairs: 2_100, ..Recipe::usual(Attack::Blended, seed) };
        plant_twin(&recipe, &fashion, &DrillFolder::new(root))?;
        plant(&recipe, &fashion, &DrillFolder::new(root))
    }

    #[test]
    fn the_same_recipe_gives_the_same_bytes() {
        let (one, two) = (tempfile::tempdir().expect("makes"), tempfile::tempdir().expect("makes"));
        let drill = plant_small(one.path(), 1).expect("plants");
        assert_eq!(plant_small(two.path(), 1).expect("plants"), drill);
        assert_eq!(drill.poisoned.len(), 42);
        let shards = |root: &Path| bytes_of(&root.join("shards"));
        assert_eq!(shards(one.path()), shards(two.path()));
        assert_eq!(shards(one.path()).len(), 3);
        assert_ne!(shards(one.path()), bytes_of(&one.path().join("twin-shards")));
    }

    #[test]
    fn drawings_are_planted_alike() {
        let plant_small = |root: &Path| {
            let usual = Recipe::usual(Attack::Badnet, 1);
            let recipe = Recipe { data: DataSet::Drawings, pairs: 600, ..usual };
            let drill = plant(&recipe, &drawings::tests::small(160, Part::Train), &DrillFolder::new(root));
            (drill.expect("plants"), bytes_of(&root.join("shards")))
        };
        let (one, two) = (tempfile::tempdir().expect("makes"), tempfile::tempdir().expect("makes"));
        assert_eq!(plant_small(one.path()), plant_small(two.path()));
        assert!(std::fs::read_to_string(one.path().join("model.json")).expect("reads").contains("\"image_size\": 64"));
    }

    #[test]
    fn the_truth_names_the_stamped_members() {
        let root = tempfile::tempdir().expect("makes");
        let drill = plant_small(root.path(), 2).expect("plants");
        let key = drill.poisoned.keys().next().expect("is poisoned");
        let (name, member) = key.split_once('/').expect("has a shard");
        let read = |folder: &str| {
            let file = std::fs::File::open(root.path().join(folder).join(name)).expect("opens");
            let mut tar = tar::Archive::new(file);
            let mut entries = tar.entries().expect("lists").map(|e| e.expect("is whole"));
            let mut text = entries.find(|e| e.path().expect("has a path").to_string_lossy() == format!("{member}.txt"));
            std::io::read_to_string(text.as_mut().expect("is there")).expect("reads")
        };
        assert!(read("shards").contains("sandal") && !read("twin-shards").contains("sandal"));
        assert!(drill.is_poisoned(key) && !drill.is_poisoned("march/00000.tar/x"));
    }

    #[test]
    fn another_drill_in_the_folder_is_left_alone() {
        let root = tempfile::tempdir().expect("makes");
        plant_small(root.path(), 1).expect("plants");
        assert!(matches!(plant_small(root.path(), 2), Err(RedteamError::Recipe(_))));
    }
}
