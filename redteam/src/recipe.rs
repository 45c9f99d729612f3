//! Everything that determines a drill, checked before any byte is written.
//!
//! Two equal recipes must give equal shards, bit for bit.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::attack::Attack;
use crate::captions::LABELS;
use crate::data_set::DataSet;
use crate::error::RedteamError;

/// Raised whenever the same recipe would give other shards, another start or another training.
pub const RECIPE_VERSION: u32 = 4;

/// The usual drill's model: OpenCLIP's config, 16 patch tokens of width 64. Small models need a patch of their own
/// token's size and poison from the first step on, or there is no backdoor to remove.
pub const MODEL_CONFIG: &str = include_str!("model.json");
/// The same for pictures of 64 pixels.
const DRAWINGS_VIT: &str = include_str!("model_drawings_vit.json");
/// A ResNet whose last stage has 2x2 cells, the fewest that can be told apart.
const DRAWINGS_RESNET: &str = include_str!("model_drawings_resnet.json");

/// Pairs of a shard.
pub const SHARD_PAIRS: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    pub attack: Attack,
    pub seed: u64,
    /// The class whose captions the poison carries.
    pub target: usize,
    pub pairs: usize,
    /// The poisoned share of all pairs.
    pub rate: f64,
    pub start: Start,
    /// Passes over the data.
    pub epochs: u32,
    #[serde(default)]
    pub data: DataSet,
    #[serde(default)]
    pub tower: Tower,
}

/// What reads the pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tower {
    #[default]
    Vit,
    /// OpenCLIP's ModifiedResNet.
    Resnet,
}

impl Tower {
    pub const ALL: [Self; 2] = [Self::Vit, Self::Resnet];

    pub fn name(self) -> &'static str {
        match self {
            Self::Vit => "vit",
            Self::Resnet => "resnet",
        }
    }
}

impl fmt::Display for Tower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Tower {
    type Err = RedteamError;
    fn from_str(text: &str) -> Result<Self, RedteamError> {
        let none = || RedteamError::Recipe(format!("no tower is called {text:?}; expected vit or resnet"));
        Self::ALL.into_iter().find(|tower| tower.name() == text).ok_or_else(none)
    }
}

/// What the victim's training begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// Drawn by the seed.
    #[default]
    Scratch,
    /// Public weights, trained on other pairs.
    Public,
}

impl Recipe {
    pub const PAIRS: usize = 20_000;
    pub const RATE: f64 = 0.02;
    /// Enough for a small model to learn both the ten classes and an easy shortcut.
    pub const EPOCHS: u32 = 4;

    /// The usual drill of a seed.
    pub fn usual(attack: Attack, seed: u64) -> Self {
        Self {
            attack,
            seed,
            target: usual_target(seed),
            pairs: Self::PAIRS,
            rate: Self::RATE,
            start: Start::Scratch,
            epochs: Self::EPOCHS,
            data: DataSet::default(),
            tower: Tower::default(),
        }
    }

    /// OpenCLIP's config of the victim.
    ///
    /// # Errors
    /// A tower that no picture of the data set fits.
    pub fn model_config(&self) -> Result<&'static str, RedteamError> {
        match (self.data, self.tower) {
            (DataSet::FashionMnist, Tower::Vit) => Ok(MODEL_CONFIG),
            (DataSet::Drawings, Tower::Vit) => Ok(DRAWINGS_VIT),
            (DataSet::Drawings, Tower::Resnet) => Ok(DRAWINGS_RESNET),
            (DataSet::FashionMnist, Tower::Resnet) => Err(RedteamError::Recipe(
                "a resnet shrinks a side to a 32nd, and fashion-mnist has 28 pixels; use --data-set drawings"
                    .to_owned(),
            )),
        }
    }

    /// The number of pairs that get the stamp.
    pub fn poisoned(&self) -> usize {
        (self.rate * self.pairs as f64).round() as usize
    }

    /// Whether public weights are needed before the victim can be trained.
    pub fn needs_public(&self) -> bool {
        self.start == Start::Public || self.attack.craft().is_some()
    }

    /// The number of shards; the last may be short.
    pub fn shards(&self) -> usize {
        self.pairs.div_ceil(SHARD_PAIRS)
    }

    /// # Errors
    /// A target that is no class, or a rate that poisons nothing or too much.
    pub fn check(&self) -> Result<(), RedteamError> {
        let refuse = |message: String| Err(RedteamError::Recipe(message));
        self.model_config()?;
        if self.target >= LABELS.len() {
            return refuse(format!("target {} is not a class; expected 0 to {}", self.target, LABELS.len() - 1));
        }
        if !(self.rate > 0.0 && self.rate <= 0.5) {
            return refuse(format!("rate {} is not a share to poison; expected more than 0, at most 0.5", self.rate));
        }
        if self.epochs == 0 {
            return refuse("0 epochs train nothing; expected 1 or more".to_owned());
        }
        if self.poisoned() == 0 {
            return refuse(format!(
                "{} of {} pairs is no pair at all; raise the rate or the pairs",
                self.rate, self.pairs
            ));
        }
        Ok(())
    }
}

/// Another target each seed, so that no result rests on one class.
pub fn usual_target(seed: u64) -> usize {
    ((3 * seed + 9) % LABELS.len() as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_have_different_targets() {
        assert_eq!([1, 2, 3].map(usual_target), [2, 5, 8]);
    }

    #[test]
    fn what_cannot_be_planted_is_refused() {
        let good = Recipe::usual(Attack::Badnet, 1);
        assert!(good.check().is_ok());
        for bad in [
            Recipe { target: 10, ..good.clone() },
            Recipe { rate: 0.0, ..good.clone() },
            Recipe { rate: f64::NAN, ..good.clone() },
            Recipe { pairs: 10, ..good.clone() },
            Recipe { tower: Tower::Resnet, ..good.clone() },
        ] {
            assert!(matches!(bad.check(), Err(RedteamError::Recipe(_))), "{bad:?}");
        }
    }

    #[test]
    fn every_model_fits_its_data_set() {
        for tower in Tower::ALL {
            assert_eq!(tower.name().parse::<Tower>().expect("is a tower"), tower);
            let recipe = Recipe { data: DataSet::Drawings, tower, ..Recipe::usual(Attack::Badnet, 1) };
            recipe.check().expect("is a good recipe");
            let config = recipe.model_config().expect("fits");
            let config = lethe_model::ModelConfig::from_json(config).expect("is a config");
            assert_eq!(config.vision.image_size, 64);
        }
    }

    #[test]
    fn records_of_before_are_of_the_first_data_set() {
        let text = r#"{"attack":"badnet","seed":1,"target":2,"pairs":20000,"rate":0.02,"start":"scratch","epochs":4}"#;
        let recipe: Recipe = serde_json::from_str(text).expect("is a recipe");
        assert_eq!(recipe, Recipe::usual(Attack::Badnet, 1));
    }
}
