//! The specs of a drill: how its victim and twin are trained, and how it is audited.
//!
//! The audit's spec must never name anything under `truth/`, nor the twin.

use std::path::{Path, PathBuf};

use lethe_common::ids::AuditId;
use lethe_common::spec::{GangSection, PlanName, Spec, TrainSection};
use serde_json::json;

use crate::drill::DrillFolder;
use crate::error::RedteamError;
use crate::pairs::Planting;
use crate::recipe::{Recipe, Start};

const BATCH: u32 = 256;
/// Sets the draws of public weights apart.
const PUBLIC: u64 = 1_000_000;
/// The learning rate of a victim that starts from public weights.
const FINE_TUNING: f64 = 5e-4;

/// Trains the victim, its twin or the public weights. What starts from public weights takes a gentler course, as
/// fine-tuning does.
pub fn train(recipe: &Recipe, folder: &DrillFolder, planting: Planting, workers: u32) -> Result<Spec, RedteamError> {
    let (role, shards) = match planting {
        Planting::Poisoned => ("victim", folder.shards()),
        Planting::Clean => ("twin", folder.twin_shards()),
        Planting::Public => ("public", folder.public_shards()),
    };
    let steps = (recipe.pairs / BATCH as usize).max(1) as u64 * u64::from(recipe.epochs);
    // The rise takes about a third of the training, as in the trials that this recipe comes from.
    let gang = GangSection {
        steps,
        batch: BATCH,
        learning_rate: 2e-3,
        weight_decay: 0.1,
        warmup_steps: steps.min(300) / 3,
        ..GangSection::PLAIN
    };
    let mut spec = spec(recipe, role, folder, shards)?;
    let from_public = recipe.start == Start::Public && planting != Planting::Public;
    let gang = match from_public {
        true => GangSection { learning_rate: FINE_TUNING, warmup_steps: 10, ..gang },
        false => gang,
    };
    spec.model.checkpoint = from_public.then(|| folder.public());
    spec.audit.plan = PlanName::Train;
    if planting == Planting::Public {
        // Another start than the victim's, as somebody else's weights have.
        spec.audit.seed = recipe.seed.wrapping_add(PUBLIC);
    }
    spec.workers.count = workers;
    spec.train = TrainSection { gang };
    Ok(spec)
}

/// Trains on the victim's pairs for a fifth of its passes: ABL's early training (20 epochs of 100).
pub fn train_early(recipe: &Recipe, folder: &DrillFolder, workers: u32) -> Result<Spec, RedteamError> {
    let recipe = Recipe { epochs: (recipe.epochs / 5).max(1), ..recipe.clone() };
    let mut spec = train(&recipe, folder, Planting::Poisoned, workers)?;
    let id = AuditId::new(&format!("early-{}-{}", recipe.attack, recipe.seed));
    spec.audit.id = id.map_err(|e| RedteamError::Recipe(e.to_string()))?;
    Ok(spec)
}

/// Audits a checkpoint of the drill with the defaults that operators have, and without trusted weights.
pub fn audit(recipe: &Recipe, folder: &DrillFolder, workers: u32) -> Result<Spec, RedteamError> {
    let mut spec = spec(recipe, "audit", folder, folder.shards())?;
    spec.model.checkpoint = Some(folder.victim());
    spec.workers.count = workers;
    Ok(spec)
}

/// Audits the twin on its own pairs, as if it were suspect: there is nothing to find.
pub fn audit_twin(recipe: &Recipe, folder: &DrillFolder, workers: u32) -> Result<Spec, RedteamError> {
    let mut spec = spec(recipe, "audit-twin", folder, folder.twin_shards())?;
    spec.model.checkpoint = Some(folder.twin());
    spec.workers.count = workers;
    Ok(spec)
}

/// The least that a spec must say; everything else is at its default, as in an operator's own file.
fn spec(recipe: &Recipe, role: &str, folder: &DrillFolder, shards: PathBuf) -> Result<Spec, RedteamError> {
    let least = json!({
        "audit": {"id": format!("{role}-{}-{}", recipe.attack, recipe.seed), "seed": recipe.seed},
        "model": {"config": folder.config()},
        "data": {"shards": [pattern(&shards, recipe.shards())]},
    });
    serde_json::from_value(least).map_err(|e| RedteamError::Recipe(e.to_string()))
}

/// All shards of a folder as one brace range.
fn pattern(folder: &Path, shards: usize) -> String {
    folder.join(format!("{{00000..{:05}}}.tar", shards - 1)).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::Attack;

    fn specs() -> (Spec, Spec, Spec) {
        let (recipe, folder) = (Recipe::usual(Attack::Badnet, 1), DrillFolder::new(Path::new("/drill")));
        let train = |planting| train(&recipe, &folder, planting, 2).expect("is a good recipe");
        (train(Planting::Poisoned), train(Planting::Clean), audit(&recipe, &folder, 2).expect("is a good recipe"))
    }

    #[test]
    fn the_audit_names_neither_truth_nor_twin() {
        let (_, _, audit) = specs();
        let text = as_text(&audit);
        assert!(text.contains("/drill/shards/{00000..00019}.tar") && text.contains("victim.safetensors"), "{text}");
        assert!(!text.contains("truth") && !text.contains("twin") && audit.model.trusted.is_none(), "{text}");
    }

    #[test]
    fn the_twin_is_trained_alike() {
        let (victim, twin, _) = specs();
        assert_eq!((victim.train.clone(), victim.audit.seed), (twin.train.clone(), twin.audit.seed));
        assert_eq!((victim.train.gang.steps, victim.train.gang.warmup_steps), (312, 100));
        assert_ne!(victim.data.shards, twin.data.shards);
    }

    #[test]
    fn early_training_is_a_fifth_of_the_victims() {
        let folder = DrillFolder::new(Path::new("/drill"));
        let recipe = Recipe { epochs: 12, ..Recipe::usual(Attack::Badnet, 1) };
        let (early, victim) = (train_early(&recipe, &folder, 2), train(&recipe, &folder, Planting::Poisoned, 2));
        let (early, victim) = (early.expect("is a good recipe"), victim.expect("is a good recipe"));
        assert_eq!((early.train.gang.steps, victim.train.gang.steps), (156, 936));
        assert_eq!(early.data, victim.data);
    }

    #[test]
    fn public_weights_start_elsewhere() {
        let (recipe, folder) = (Recipe::usual(Attack::Badclip, 1), DrillFolder::new(Path::new("/drill")));
        let seed = |planting| train(&recipe, &folder, planting, 2).expect("is a good recipe").audit.seed;
        assert_eq!(seed(Planting::Poisoned), seed(Planting::Clean));
        assert_ne!(seed(Planting::Poisoned), seed(Planting::Public));
    }

    fn as_text(spec: &Spec) -> String {
        serde_json::to_string(spec).expect("is plain data")
    }
}
