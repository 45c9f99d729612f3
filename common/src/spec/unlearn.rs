//! The section `unlearn`: which remedy, and what it trains by.
//!
//! Where a file leaves something out, it is the method's own usual; what is stored always has the gang's numbers. A default
//! must never be read from anywhere else.

use serde::{Deserialize, Serialize};

use super::GangSection;

/// How the backdoor is taken out of the model (docs/peers.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnlearnMethod {
    /// The images of the forget set lose the words that carry the backdoor, and every other time their whole captions: local token
    /// unlearning.
    #[default]
    Tokens,
    /// The same with their whole captions alone, to compare with.
    WholePair,
    /// Training goes on, on safe pairs alone.
    FineTune,
    /// The same beside self-supervision of each tower (CleanCLIP, ICCV 2023).
    CleanClip,
    /// The same while the features are pushed away from the suspect model's (PAR, arXiv 2412.00727).
    Par,
}

impl UnlearnMethod {
    /// Whether it takes away what the audit found. The others train on safe pairs, found or not.
    pub fn rests_on_evidence(self) -> bool {
        match self {
            Self::Tokens | Self::WholePair => true,
            Self::FineTune | Self::CleanClip | Self::Par => false,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::WholePair => "whole-pair",
            Self::FineTune => "fine-tune",
            Self::CleanClip => "clean-clip",
            Self::Par => "par",
        }
    }

    /// The usual training of the method on so many safe pairs.
    ///
    /// Passes and batches of the peers are their authors'. So are the learning rates, as a part of the rate that the suspect
    /// model was trained with: CleanCLIP's 1e-5 is a fiftieth of 5e-4, PAR begins at 3e-5; a checkpoint of ours comes from
    /// 2e-3.
    fn gang(self, safe_pairs: u64) -> GangSection {
        let passes = |passes: u64, batch: u32| (passes * safe_pairs / u64::from(batch)).max(1);
        match self {
            Self::Tokens | Self::WholePair => {
                GangSection { steps: 184, batch: 64, learning_rate: 3e-4, ..GangSection::PLAIN }
            }
            Self::FineTune | Self::CleanClip => GangSection {
                steps: passes(10, 64),
                batch: 64,
                learning_rate: 4e-5,
                weight_decay: 0.1,
                warmup_steps: 50,
                ..GangSection::PLAIN
            },
            Self::Par => GangSection {
                steps: passes(2, 64),
                batch: 64,
                learning_rate: 1.2e-4,
                weight_decay: 1e-4,
                ..GangSection::PLAIN
            },
        }
    }

    fn is_tokens(&self) -> bool {
        *self == Self::Tokens
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct UnlearnSection {
    pub gang: GangSection,
    /// Of staying near the suspect model's image features; for `tokens` and `whole-pair`.
    pub anchor_weight: f64,
    /// Of forgetting; for `tokens` and `whole-pair`.
    pub forget_weight: f64,
    /// This and what follows is not written where it is the usual, so that the stored spec stays as it was.
    #[serde(skip_serializing_if = "UnlearnMethod::is_tokens")]
    pub method: UnlearnMethod,
    /// Of the self-supervision beside L_clip; for `clean-clip`.
    #[serde(skip_serializing_if = "is_usual_self_supervision")]
    pub self_supervised_weight: f64,
    /// Of the distance from the suspect model's features, which L_clip less it makes grow; for `par`.
    #[serde(skip_serializing_if = "is_usual_perturbation")]
    pub perturb_weight: f64,
    /// A tower whose features lie further than this from the suspect model's, by their mean squared distance (0 to 4), is
    /// pushed no further; for `par`.
    #[serde(skip_serializing_if = "is_usual_limit")]
    pub perturb_limit: f64,
}

const SELF_SUPERVISED_WEIGHT: f64 = 1.0;
const PERTURB_WEIGHT: f64 = 0.5;
const PERTURB_LIMIT: f64 = 2.15;

fn is_usual_self_supervision(weight: &f64) -> bool {
    *weight == SELF_SUPERVISED_WEIGHT
}

fn is_usual_perturbation(weight: &f64) -> bool {
    *weight == PERTURB_WEIGHT
}

fn is_usual_limit(limit: &f64) -> bool {
    *limit == PERTURB_LIMIT
}

impl UnlearnSection {
    /// The safe pairs that `suspect.max_safe` and `evaluate.held_out_share` leave for training where they are at their
    /// defaults.
    pub const USUAL_SAFE_PAIRS: u64 = 7_200;

    /// The usual section of a method that trains on so many safe pairs.
    pub fn usual(method: UnlearnMethod, safe_pairs: u64) -> Self {
        Self {
            gang: method.gang(safe_pairs),
            anchor_weight: 4.0,
            forget_weight: 0.15,
            method,
            self_supervised_weight: SELF_SUPERVISED_WEIGHT,
            perturb_weight: PERTURB_WEIGHT,
            perturb_limit: PERTURB_LIMIT,
        }
    }
}

impl Default for UnlearnSection {
    fn default() -> Self {
        Self::usual(UnlearnMethod::default(), Self::USUAL_SAFE_PAIRS)
    }
}

/// The section as a file has it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    method: UnlearnMethod,
    gang: Option<GangSection>,
    anchor_weight: Option<f64>,
    forget_weight: Option<f64>,
    self_supervised_weight: Option<f64>,
    perturb_weight: Option<f64>,
    perturb_limit: Option<f64>,
}

impl From<Written> for UnlearnSection {
    fn from(written: Written) -> Self {
        let usual = Self::usual(written.method, Self::USUAL_SAFE_PAIRS);
        Self {
            gang: written.gang.unwrap_or(usual.gang),
            anchor_weight: written.anchor_weight.unwrap_or(usual.anchor_weight),
            forget_weight: written.forget_weight.unwrap_or(usual.forget_weight),
            method: usual.method,
            self_supervised_weight: written.self_supervised_weight.unwrap_or(usual.self_supervised_weight),
            perturb_weight: written.perturb_weight.unwrap_or(usual.perturb_weight),
            perturb_limit: written.perturb_limit.unwrap_or(usual.perturb_limit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Spec;
    use super::*;

    fn section(text: &str) -> UnlearnSection {
        toml::from_str(text).expect("is a section")
    }

    #[test]
    fn specs_that_were_stored_before_do_not_differ() {
        let json = serde_json::to_value(UnlearnSection::default()).expect("is JSON");
        let fields: std::collections::BTreeSet<&str> =
            json.as_object().expect("is an object").keys().map(String::as_str).collect();
        assert_eq!(fields, ["anchor_weight", "forget_weight", "gang"].into());
        assert_eq!((&json["gang"]["steps"], &json["forget_weight"]), (&184.into(), &0.15.into()));
    }

    #[test]
    fn what_a_file_leaves_out_is_the_methods_own() {
        assert_eq!(section(""), UnlearnSection::default());
        let clean_clip = section("method = \"clean-clip\"");
        // Ten passes over 7,200 pairs, 64 a step.
        assert_eq!((clean_clip.gang.steps, clean_clip.gang.batch), (1_125, 64));
        assert_eq!(clean_clip.gang, section("method = \"fine-tune\"").gang);
        assert_eq!(section("method = \"par\"").gang.steps, 225);
        let whole = section("method = \"whole-pair\"");
        assert_eq!((whole.gang, whole.method), (UnlearnSection::default().gang, UnlearnMethod::WholePair));
    }

    #[test]
    fn the_operators_numbers_stay() {
        let gang = "gang = {steps = 7, batch = 8, learning_rate = 1e-3, weight_decay = 0.0, warmup_steps = 1}";
        let par = section(&format!("method = \"par\"\nperturb_limit = 1.5\n{gang}"));
        assert_eq!(
            (par.gang.steps, par.gang.batch, par.perturb_limit, par.perturb_weight),
            (7, 8, 1.5, PERTURB_WEIGHT)
        );
    }

    #[test]
    fn every_method_comes_back_as_it_was_written() {
        let least = r#"{"audit": {"id": "a"}, "model": {"config": "m.json"}, "data": {"shards": ["0.tar"]}}"#;
        let mut spec: Spec = serde_json::from_str(least).expect("is a spec");
        for name in ["tokens", "whole-pair", "fine-tune", "clean-clip", "par"] {
            spec.unlearn = section(&format!("method = {name:?}"));
            spec.unlearn.perturb_limit = 1.0;
            let text = serde_json::to_string(&spec).expect("is JSON");
            assert_eq!(spec.unlearn.method.as_str(), name);
            assert_eq!(serde_json::from_str::<Spec>(&text).expect("is a spec"), spec, "{name}");
        }
    }
}
