//! The remedies that are compared, each as the spec that an operator would write.

use clap::ValueEnum;
use lethe_common::spec::{GangSection, Spec, UnlearnMethod, UnlearnSection};
use lethe_redteam::drill::DrillFolder;
use lethe_redteam::error::RedteamError;
use lethe_redteam::pairs::Planting;
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
    /// Training goes on, on the pairs that the audit takes for safe
    FineTune,
    /// The same beside self-supervision of each tower (CleanCLIP, ICCV 2023)
    CleanClip,
    /// The same while the features are pushed away from the victim's (PAR, arXiv 2412.00727)
    Par,
    /// The shards are written again without what the audit drops, and a model is trained on them anew
    Retrain,
}

impl Remedy {
    pub const ALL: [Self; 7] =
        [Self::Ubt, Self::UbtTrusted, Self::WholePair, Self::FineTune, Self::CleanClip, Self::Par, Self::Retrain];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ubt => "ubt",
            Self::UbtTrusted => "ubt-trusted",
            Self::WholePair => "whole-pair",
            Self::FineTune => "fine-tune",
            Self::CleanClip => "clean-clip",
            Self::Par => "par",
            Self::Retrain => "retrain",
        }
    }

    /// Whether it needs other weights: those trained on other pairs, and those of an early training on the victim's.
    pub fn needs_other_weights(self) -> bool {
        self == Self::UbtTrusted
    }

    fn method(self) -> UnlearnMethod {
        match self {
            Self::Ubt | Self::UbtTrusted | Self::Retrain => UnlearnMethod::Tokens,
            Self::WholePair => UnlearnMethod::WholePair,
            Self::FineTune => UnlearnMethod::FineTune,
            Self::CleanClip => UnlearnMethod::CleanClip,
            Self::Par => UnlearnMethod::Par,
        }
    }

    /// Whether it takes away what the audit found; the others make nothing of it.
    pub fn rests_on_evidence(self) -> bool {
        self.method().rests_on_evidence()
    }

    /// # Errors
    /// A recipe that cannot be planted.
    pub fn spec(self, recipe: &Recipe, folder: &DrillFolder, workers: u32) -> Result<Spec, RedteamError> {
        let mut spec = specs::audit(recipe, folder, workers)?;
        if self.needs_other_weights() {
            spec.model.trusted = Some(folder.public());
            // For the column of ABL alone: a score does not look at it.
            spec.model.early = Some(folder.early());
        }
        // For the other detectors' columns.
        spec.report.signals = self.needs_other_weights() || self == Self::Ubt;
        spec.unlearn = UnlearnSection::usual(self.method(), safe_pairs(recipe, &spec));
        if let Some(rate) = self.tuned_rate() {
            spec.unlearn.gang.learning_rate = rate;
        }
        Ok(spec)
    }

    /// The peers' learning rates: of those that were tried on a victim of seed 1 the one that leaves the least attack success for about
    /// three points of accuracy (docs/peers.md); their authors' own leave nearly all of it.
    fn tuned_rate(self) -> Option<f64> {
        match self {
            Self::FineTune | Self::CleanClip => Some(6e-3),
            Self::Par => Some(3e-3),
            Self::Ubt | Self::UbtTrusted | Self::WholePair | Self::Retrain => None,
        }
    }

    /// The weight of the term that it adds to the loss, where it has one of its own.
    pub fn weight(self, section: &mut UnlearnSection) -> Option<&mut f64> {
        match self {
            Self::CleanClip => Some(&mut section.self_supervised_weight),
            Self::Par => Some(&mut section.perturb_weight),
            Self::Ubt | Self::UbtTrusted | Self::WholePair | Self::FineTune | Self::Retrain => None,
        }
    }

    pub fn has_weight(self) -> bool {
        self.weight(&mut UnlearnSection::usual(self.method(), UnlearnSection::USUAL_SAFE_PAIRS)).is_some()
    }

    /// The pairs that its trainings take, all together; a pair with a second view is two. The trainings by which an audit
    /// finds poison do not count where the remedy makes nothing of that.
    ///
    /// # Errors
    /// A recipe that cannot be planted.
    pub fn trained(self, spec: &Spec, recipe: &Recipe) -> Result<u64, RedteamError> {
        let pairs = |gang: &GangSection| gang.steps * u64::from(gang.batch);
        let found = pairs(&spec.overfit.gang) + pairs(&spec.stand_in.gang);
        let unlearned = pairs(&spec.unlearn.gang);
        Ok(match self {
            Self::Ubt | Self::UbtTrusted | Self::WholePair => found + unlearned,
            Self::FineTune | Self::Par => unlearned,
            Self::CleanClip => 2 * unlearned,
            Self::Retrain => {
                let nowhere = DrillFolder::new("/".as_ref());
                found + pairs(&specs::train(recipe, &nowhere, Planting::Poisoned, 1)?.train.gang)
            }
        })
    }
}

/// About how many safe pairs an audit of the drill gathers and trains on.
fn safe_pairs(recipe: &Recipe, spec: &Spec) -> u64 {
    let safe = (recipe.pairs as f64 * (1.0 - spec.suspect.share)).min(spec.suspect.max_safe as f64);
    (safe * (1.0 - spec.evaluate.held_out_share)).round() as u64
}

#[cfg(test)]
mod tests {
    use lethe_redteam::attack::Attack;

    use super::*;

    fn spec(remedy: Remedy) -> Spec {
        let recipe = Recipe::usual(Attack::Badnet, 1);
        remedy.spec(&recipe, &DrillFolder::new("/drill".as_ref()), 2).expect("is a good recipe")
    }

    #[test]
    fn every_remedy_is_trained_for_what_it_costs() {
        let usual = (40 + 184) * 64;
        for (remedy, trained) in [
            (Remedy::Ubt, usual),
            (Remedy::UbtTrusted, usual),
            (Remedy::WholePair, usual),
            // Ten passes over 7,200 pairs; the same with a second view each; two passes, in whole batches.
            (Remedy::FineTune, 72_000),
            (Remedy::CleanClip, 144_000),
            (Remedy::Par, 14_400),
            // The suspects' search, and 312 steps of 256.
            (Remedy::Retrain, 40 * 64 + 312 * 256),
        ] {
            let found = remedy.trained(&spec(remedy), &Recipe::usual(Attack::Badnet, 1));
            assert_eq!(found.expect("is a good recipe"), trained, "{remedy:?}");
        }
    }

    #[test]
    fn a_remedy_is_what_an_operator_would_write() {
        for remedy in Remedy::ALL {
            let mut audit = spec(remedy);
            (audit.model.trusted, audit.model.early) = (None, None);
            audit.report.signals = true;
            if remedy.tuned_rate().is_some() {
                audit.unlearn.gang.learning_rate =
                    UnlearnSection::usual(remedy.method(), UnlearnSection::USUAL_SAFE_PAIRS).gang.learning_rate;
            }
            let mut usual = spec(Remedy::Ubt);
            let written = serde_json::json!({"method": audit.unlearn.method});
            usual.unlearn = serde_json::from_value(written).expect("is a section");
            assert_eq!(audit, usual, "{remedy:?}");
            assert_eq!(remedy.to_possible_value().expect("is a value").get_name(), remedy.name());
        }
    }
}
