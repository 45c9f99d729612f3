//! The choices that make up the default remedy, each against its alternatives: the spec with one value replaced.
//!
//! An alternative must never change more than one value, or nobody knows what made the difference.

use clap::ValueEnum;
use lethe_common::spec::{Detector, GangSection, Spec};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Ablation {
    /// The first pass by a weak similarity (CLIP score)
    SplitByClipScore,
    /// The first pass by the distance to the k-th neighbour
    SplitByKDistance,
    /// The first pass by SLOF
    SplitBySlof,
    /// The first pass by DAO
    SplitByDao,
    /// The first pass by an isolation forest
    SplitByIsolationForest,
    /// Suspects overfitted before the second pass, as the paper has it, for as many steps as the stand-in trains
    Overfit,
    /// The stand-in unlearns half as many of the strongest suspects
    StandInOfFewer,
    /// The stand-in unlearns twice as many
    StandInOfMore,
    /// The stand-in trains half as long
    ShortStandIn,
    /// The forget set ends at half the share of all pairs
    SmallForgetSet,
    /// Unlearning is not held near the suspect model
    NoAnchor,
    /// It is held with a quarter of the weight
    WeakAnchor,
    /// Forgetting weighs nearly seven times as much
    StrongForgetting,
    /// Unlearning stops after half the steps
    HalfAsLong,
    /// Unlearning goes on for twice the steps
    TwiceAsLong,
}

impl Ablation {
    pub fn name(self) -> String {
        super::table::word(&self)
    }

    /// The choice that it is an alternative to.
    pub fn choice(self) -> &'static str {
        match self {
            Self::SplitByClipScore
            | Self::SplitByKDistance
            | Self::SplitBySlof
            | Self::SplitByDao
            | Self::SplitByIsolationForest => "split signal",
            Self::Overfit => "overfitting",
            Self::StandInOfFewer | Self::StandInOfMore | Self::ShortStandIn => "stand-in for trusted weights",
            Self::SmallForgetSet => "forget set",
            Self::NoAnchor | Self::WeakAnchor => "anchor",
            Self::StrongForgetting => "weight of forgetting",
            Self::HalfAsLong | Self::TwiceAsLong => "stopping",
        }
    }

    pub fn apply(self, spec: &mut Spec) {
        match self {
            Self::SplitByClipScore => spec.score.detector = Detector::ClipScore,
            Self::SplitByKDistance => spec.score.detector = Detector::KDistance,
            Self::SplitBySlof => spec.score.detector = Detector::Slof,
            Self::SplitByDao => spec.score.detector = Detector::Dao,
            Self::SplitByIsolationForest => spec.score.detector = Detector::IsolationForest,
            Self::Overfit => {
                let GangSection { steps, batch, .. } = spec.stand_in.gang;
                spec.overfit.gang = GangSection { steps, batch, ..spec.overfit.gang };
            }
            Self::StandInOfFewer => spec.stand_in.share /= 2.0,
            Self::StandInOfMore => spec.stand_in.share *= 2.0,
            Self::ShortStandIn => spec.stand_in.gang.steps /= 2,
            Self::SmallForgetSet => spec.select.max_share /= 2.0,
            Self::NoAnchor => spec.unlearn.anchor_weight = 0.0,
            Self::WeakAnchor => spec.unlearn.anchor_weight /= 4.0,
            Self::StrongForgetting => spec.unlearn.forget_weight = 1.0,
            Self::HalfAsLong => spec.unlearn.gang.steps /= 2,
            Self::TwiceAsLong => spec.unlearn.gang.steps *= 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use lethe_redteam::attack::Attack;
    use lethe_redteam::drill::DrillFolder;
    use lethe_redteam::recipe::Recipe;

    use super::super::Remedy;
    use super::*;

    #[test]
    fn each_changes_the_default_and_no_other_section_than_its_own() {
        let recipe = Recipe::usual(Attack::Badnet, 1);
        let usual = Remedy::Ubt.spec(&recipe, &DrillFolder::new("/drill".as_ref()), 2).expect("is a good recipe");
        let sections = |spec: &Spec| serde_json::to_value(spec).expect("is plain data");
        let plain = sections(&usual);
        let mut seen = Vec::new();
        for &ablation in Ablation::value_variants() {
            let mut spec = usual.clone();
            ablation.apply(&mut spec);
            let changed = sections(&spec);
            let of = |name: &&String| changed[name.as_str()] != plain[name.as_str()];
            let names: Vec<&String> = changed.as_object().expect("has sections").keys().filter(of).collect();
            assert_eq!(names.len(), 1, "{ablation:?} changes {names:?}");
            assert!(!seen.contains(&spec), "{ablation:?} is another's double");
            assert_eq!(ablation.to_possible_value().expect("is a value").get_name(), ablation.name());
            seen.push(spec);
        }
    }
}
