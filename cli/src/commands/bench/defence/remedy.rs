//! The remedies that are compared, each as the spec that an operator would write.

use clap::ValueEnum;
use lethe_common::spec::{ForgetText, GangSection, Spec};
use lethe_redteam::drill::DrillFolder;
use lethe_redteam::error::RedteamError;
use lethe_redteam::recipe::Recipe;
use lethe_redteam::specs;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Remedy {
    /// The audit with the defaults that operators have
    Ubt,
    /// The same with trusted weights: the model trained on other, clean pairs
    UbtTrusted,
    /// The same suspects, unlearned with their whole captions
    WholePair,
}

impl Remedy {
    pub const ALL: [Self; 3] = [Self::Ubt, Self::UbtTrusted, Self::WholePair];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ubt => "ubt",
            Self::UbtTrusted => "ubt-trusted",
            Self::WholePair => "whole-pair",
        }
    }

    /// Whether it needs the model that was trained on other pairs.
    pub fn needs_public(self) -> bool {
        self == Self::UbtTrusted
    }

    /// # Errors
    /// A recipe that cannot be planted.
    pub fn spec(self, recipe: &Recipe, folder: &DrillFolder, workers: u32) -> Result<Spec, RedteamError> {
        let mut spec = specs::audit(recipe, folder, workers)?;
        match self {
            Self::Ubt => {}
            Self::UbtTrusted => spec.model.trusted = Some(folder.public()),
            Self::WholePair => spec.unlearn.text = ForgetText::Caption,
        }
        Ok(spec)
    }

    /// The pairs that its trainings take, all together.
    pub fn trained(self, spec: &Spec) -> u64 {
        let pairs = |gang: &GangSection| gang.steps * u64::from(gang.batch);
        let stand_in = match spec.model.trusted {
            Some(_) => 0,
            None => pairs(&spec.stand_in.gang),
        };
        pairs(&spec.overfit.gang) + stand_in + pairs(&spec.unlearn.gang)
    }
}
