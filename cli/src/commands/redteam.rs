//! `lethe redteam`: makes a drill, from a data set to a trained victim.
//!
//! The victim is trained by the same plan, processes and trainer as anything else; there is no second trainer.

use std::path::Path;

use anyhow::Context;
use lethe_common::spec::Spec;
use lethe_redteam::data_set::{Part, Pool};
use lethe_redteam::drill::{Drill, DrillFolder};
use lethe_redteam::pairs::Planting;
use lethe_redteam::plant::{plant, plant_public, plant_twin, write_spec};
use lethe_redteam::recipe::{Recipe, Start, usual_target};
use lethe_redteam::specs;
use serde_json::json;

use crate::arguments::{Devices, Format, Plant, Redteam, RedteamCommand};
use crate::exit::Ending;
use crate::session::{self, Outcome};

pub fn run(arguments: &Redteam) -> anyhow::Result<Ending> {
    match &arguments.command {
        RedteamCommand::Plant(plant) => run_plant(plant),
    }
}

fn run_plant(arguments: &Plant) -> anyhow::Result<Ending> {
    let recipe = Recipe {
        attack: arguments.attack,
        seed: arguments.seed,
        target: arguments.target.unwrap_or_else(|| usual_target(arguments.seed)),
        pairs: arguments.pairs,
        rate: arguments.rate,
        start: if arguments.from_public { Start::Public } else { Start::Scratch },
        epochs: arguments.epochs,
        data: arguments.data_set,
        tower: arguments.tower,
    };
    recipe.check()?;
    let drill = Drilling { recipe, folder: folder(&arguments.out)?, workers: arguments.workers };
    if drill.recipe.needs_public() && drill.make_public(&arguments.data)? == Ending::Interrupted {
        return Ok(Ending::Interrupted);
    }
    let poisoned = drill.plant(&arguments.data)?.poisoned.len();
    let mut told = Told { output: arguments.output, json: json!({"pairs": drill.recipe.pairs, "poisoned": poisoned}) };
    let shards = drill.folder.shards();
    told.file("shards", &shards, || {
        format!("planted {poisoned} of {} pairs in {}", drill.recipe.pairs, shards.display())
    });
    if arguments.shards_only {
        return Ok(told.end());
    }
    if let Ending::Interrupted = drill.train(Planting::Poisoned)? {
        return Ok(Ending::Interrupted);
    }
    let victim = drill.folder.victim();
    told.file("victim", &victim, || format!("victim: {}", victim.display()));
    if arguments.twin {
        drill.plant_twin(&arguments.data)?;
        if let Ending::Interrupted = drill.train(Planting::Clean)? {
            return Ok(Ending::Interrupted);
        }
        let twin = drill.folder.twin();
        told.file("twin", &twin, || format!("clean twin: {}", twin.display()));
    }
    let spec = drill.folder.root().join("audit.toml");
    told.file("spec", &spec, || format!("next: lethe audit {}", spec.display()));
    Ok(told.end())
}

/// What is said of a drill: to people as it comes, to programs at the end.
struct Told {
    output: Format,
    json: serde_json::Value,
}

impl Told {
    fn file(&mut self, name: &str, path: &Path, line: impl FnOnce() -> String) {
        match self.output {
            Format::Text => println!("{}", line()),
            Format::Json => self.json[name] = json!(path),
        }
    }

    fn end(self) -> Ending {
        if self.output == Format::Json {
            println!("{:#}", self.json);
        }
        Ending::Accepted
    }
}

/// A drill's folder by its absolute path, since specs resolve paths against their own folder.
pub fn folder(path: &Path) -> anyhow::Result<DrillFolder> {
    std::fs::create_dir_all(path).with_context(|| format!("cannot make the folder {}", path.display()))?;
    Ok(DrillFolder::new(&std::path::absolute(path)?))
}

/// A drill in the making. Each step does nothing where its result is there.
pub struct Drilling {
    pub recipe: Recipe,
    pub folder: DrillFolder,
    pub workers: u32,
}

impl Drilling {
    /// The victim's shards, the truth, and the spec of the audit.
    pub fn plant(&self, data: &Path) -> anyhow::Result<Drill> {
        self.recipe.check()?;
        let drill = plant(&self.recipe, &*self.train_part(data)?, &self.folder)?;
        let audit = specs::audit(&self.recipe, &self.folder, self.workers)?;
        write_spec(&audit, &self.folder.root().join("audit.toml"))?;
        Ok(drill)
    }

    fn train_part(&self, data: &Path) -> anyhow::Result<Box<dyn Pool>> {
        Ok(self.recipe.data.read(data, Part::Train)?)
    }

    pub fn plant_twin(&self, data: &Path) -> anyhow::Result<()> {
        Ok(plant_twin(&self.recipe, &*self.train_part(data)?, &self.folder)?)
    }

    /// The weights that the attack is made with, or that the victim starts from.
    pub fn make_public(&self, data: &Path) -> anyhow::Result<Ending> {
        if !self.folder.public().is_file() {
            plant_public(&self.recipe, &*self.train_part(data)?, &self.folder)?;
        }
        self.train(Planting::Public)
    }

    /// Trains the victim or the twin; an interrupted training goes on at the next call.
    pub fn train(&self, planting: Planting) -> anyhow::Result<Ending> {
        let (role, checkpoint) = match planting {
            Planting::Poisoned => ("victim", self.folder.victim()),
            Planting::Clean => ("twin", self.folder.twin()),
            Planting::Public => ("public", self.folder.public()),
        };
        self.train_to(&checkpoint, role, &specs::train(&self.recipe, &self.folder, planting, self.workers)?)
    }

    /// Trains what the victim was like early in its training.
    pub fn train_early(&self) -> anyhow::Result<Ending> {
        let spec = specs::train_early(&self.recipe, &self.folder, self.workers)?;
        self.train_to(&self.folder.early(), "early", &spec)
    }

    fn train_to(&self, checkpoint: &Path, role: &str, spec: &Spec) -> anyhow::Result<Ending> {
        if checkpoint.is_file() {
            return Ok(Ending::Accepted);
        }
        let path = self.folder.root().join(format!("train-{role}.toml"));
        let result = self.folder.root().join(format!("train-{role}"));
        if changes(&path, || Ok(write_spec(spec, &path)?))? && result.is_dir() {
            eprintln!(
                "training, {role} weights: the recipe is another than the one that was begun with; it begins anew"
            );
            std::fs::remove_dir_all(&result).with_context(|| format!("cannot remove {}", result.display()))?;
        }
        eprintln!("training, {role} weights: {} steps on {} workers", spec.train.gang.steps, self.workers);
        match session::run(spec, &result, Devices::Cpu)? {
            Outcome::Interrupted => {
                eprintln!("stopped; the same command goes on where this one stopped");
                Ok(Ending::Interrupted)
            }
            Outcome::Done(_) => {
                let trained = result.join("model.safetensors");
                std::fs::rename(&trained, checkpoint)
                    .with_context(|| format!("the training left no {}", trained.display()))?;
                // What trained it is worth nothing once the checkpoint is in place.
                std::fs::remove_dir_all(&result).with_context(|| format!("cannot remove {}", result.display()))?;
                Ok(Ending::Accepted)
            }
        }
    }
}

/// Whether writing gives a file that was there another content.
fn changes(path: &Path, write: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<bool> {
    let before = std::fs::read(path).ok();
    write()?;
    Ok(before.is_some_and(|before| std::fs::read(path).ok() != Some(before)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A training that another build left half done has a spec that this one cannot go on with.
    #[test]
    fn only_another_recipe_than_the_one_begun_with_is_a_change() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let path = folder.path().join("train-victim.toml");
        let written = |text: &str| changes(&path, || Ok(std::fs::write(&path, text)?)).expect("writes");
        assert_eq!([written("steps = 3"), written("steps = 3"), written("steps = 4")], [false, false, true]);
    }
}
