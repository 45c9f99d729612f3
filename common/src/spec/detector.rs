//! Which signal of the first pass makes a pair a suspect.

use serde::{Deserialize, Serialize};

/// What the first pass ranks by; higher is more suspicious. All but the first are other authors' detectors (docs/peers.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detector {
    /// Several signals together: what the picture is to the model and to anyone else, and how flat the match is.
    #[default]
    Ubt,
    /// A weak similarity of picture and caption.
    ClipScore,
    /// The distance to the k-th nearest picture or caption of the reference set.
    KDistance,
    /// That distance as a part of the neighbours' own (SLOF).
    Slof,
    /// The same with the local dimension (DAO; Huang et al., ICLR 2025, arXiv 2502.01385).
    Dao,
    /// How soon random cuts of the features set the picture apart (Liu, Ting and Zhou, ICDM 2008).
    IsolationForest,
    /// A low loss early in training (ABL; Li et al., NeurIPS 2021, arXiv 2110.11571); needs `model.early`.
    Abl,
}

impl Detector {
    pub const ALL: [Self; 7] =
        [Self::Ubt, Self::ClipScore, Self::KDistance, Self::Slof, Self::Dao, Self::IsolationForest, Self::Abl];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ubt => "ubt",
            Self::ClipScore => "clip-score",
            Self::KDistance => "k-distance",
            Self::Slof => "slof",
            Self::Dao => "dao",
            Self::IsolationForest => "isolation-forest",
            Self::Abl => "abl",
        }
    }

    /// The column of `signals.parquet` that it ranks by, and whether a high value is suspicious; none where it takes several.
    pub fn column(self) -> Option<(&'static str, bool)> {
        match self {
            Self::Ubt => None,
            Self::ClipScore => Some(("similarity", false)),
            Self::KDistance => Some(("k_distance", true)),
            Self::Slof => Some(("slof", true)),
            Self::Dao => Some(("dao", true)),
            Self::IsolationForest => Some(("isolation", true)),
            Self::Abl => Some(("early_loss", false)),
        }
    }

    pub(super) fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detector_is_called_in_a_spec_what_it_is_called_in_a_table() {
        for detector in Detector::ALL {
            assert_eq!(serde_json::to_value(detector).expect("is plain data"), detector.as_str());
        }
    }
}
