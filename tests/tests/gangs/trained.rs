//! What a training left: its weights as they were computed, and its report.

use std::path::Path;

use lethe_evidence::artifacts::{Training, decode, names};
use tch::{Kind, Tensor};

pub struct Trained {
    pub report: Training,
    /// Sorted by name.
    weights: Vec<(String, Tensor)>,
}

impl Trained {
    pub fn of(folder: &Path) -> Self {
        let report = std::fs::read(folder.join(names::TRAINING)).expect("the training left a report");
        let mut weights = Tensor::read_safetensors(folder.join(names::MODEL)).expect("the training left a checkpoint");
        weights.sort_by(|(one, _), (other, _)| one.cmp(other));
        let narrow = weights.iter().find(|(_, weight)| weight.kind() != Kind::Double);
        assert!(narrow.is_none(), "{narrow:?} is no f64, so that nothing could be proved");
        Self { report: decode(names::TRAINING, &report).expect("is a report"), weights }
    }

    /// The largest absolute difference of any weight.
    pub fn furthest_from(&self, other: &Self) -> f64 {
        assert_eq!(self.weights.len(), other.weights.len());
        let differences = self.weights.iter().zip(&other.weights).map(|((name, one), (same, other))| {
            assert_eq!(name, same);
            (one - other).abs().max().double_value(&[])
        });
        differences.fold(0.0, f64::max)
    }

    /// The steps in which a generation was lost: the next one took them anew.
    pub fn lost_in(&self) -> Vec<usize> {
        let generations = self.report.generations.windows(2).zip(1..);
        generations.filter(|(pair, _)| pair[0] != pair[1]).map(|(_, step)| step).collect()
    }
}
