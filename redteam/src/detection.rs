//! How well an audit found the poison, by the truth.

use std::collections::{BTreeMap, BTreeSet};

use lethe_common::spec::Detector;
use lethe_evidence::artifacts::{ScoreRow, Scores};
use lethe_evidence::ranking::auroc;
use serde::{Deserialize, Serialize};

use crate::drill::{Drill, key};
use crate::error::RedteamError;

/// Shares between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// Of the suspicion of all pairs.
    pub auroc: f64,
    /// The poisoned of the flagged; 1 where nothing was flagged.
    pub precision: f64,
    /// The flagged of the poisoned.
    pub recall: f64,
}

/// Judges the suspicion of every pair, and the keys that the audit wants dropped (`shard name/member`).
///
/// # Errors
/// Scores that hold no poisoned pair, or nothing else: those of another data set.
pub fn judge(drill: &Drill, scores: &[ScoreRow], flagged: &BTreeSet<String>) -> Result<Detection, RedteamError> {
    let labels: Vec<bool> = scores.iter().map(|row| drill.is_poisoned(&key(row.shard, &row.key))).collect();
    let Some(auroc) = auroc(&places(scores), &labels) else {
        let found = labels.iter().filter(|poisoned| **poisoned).count();
        return Err(RedteamError::Recipe(format!(
            "{found} of {} scored pairs are poisoned by the drill's record; are these its scores?",
            labels.len()
        )));
    };
    let hits = flagged.iter().filter(|key| drill.is_poisoned(key)).count() as f64;
    let precision = if flagged.is_empty() { 1.0 } else { hits / flagged.len() as f64 };
    Ok(Detection { auroc, precision, recall: hits / drill.poisoned.len() as f64 })
}

/// The AUROC of every other detector whose column the table has, by the detector's name.
pub fn detectors(drill: &Drill, scores: &Scores) -> BTreeMap<String, f64> {
    let labels: Vec<bool> = scores.rows.iter().map(|row| drill.is_poisoned(&key(row.shard, &row.key))).collect();
    let of = |detector: Detector| {
        let (column, is_high) = detector.column()?;
        let at = scores.names.iter().position(|name| name == column)?;
        let turned = |row: &ScoreRow| if is_high { row.signals[at] } else { -row.signals[at] };
        let values: Vec<f32> = scores.rows.iter().map(turned).collect();
        Some((detector.as_str().to_owned(), auroc(&values, &labels)?))
    };
    Detector::ALL.into_iter().filter_map(of).collect()
}

/// Each score's place among the different ones: the same order and ties, in the precision that AUROC takes.
fn places(scores: &[ScoreRow]) -> Vec<f32> {
    let mut different: Vec<f64> = scores.iter().map(|row| row.suspicion).collect();
    different.sort_by(f64::total_cmp);
    different.dedup();
    scores.iter().map(|row| different.partition_point(|value| *value < row.suspicion) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::Attack;
    use crate::pairs::Poison;
    use crate::recipe::Recipe;

    fn drill() -> Drill {
        let poison = Poison { backdoor: 0, square: None };
        let poisoned = ["00000.tar/1", "00001.tar/3"].map(|key| (key.to_owned(), poison)).into();
        Drill { recipe_version: 1, recipe: Recipe::usual(Attack::Badnet, 1), poisoned }
    }

    fn row(shard: u32, key: &str, suspicion: f64) -> ScoreRow {
        ScoreRow { shard, key: key.to_owned(), suspicion, signals: Vec::new() }
    }

    #[test]
    fn shares_are_counted_by_the_truth() {
        let scores = [(0, "0", 0.1), (0, "1", 0.9), (1, "2", 1.0 - 1e-12), (1, "3", 1.0 - 2e-12)]
            .map(|(shard, key, suspicion)| row(shard, key, suspicion));
        let flagged = ["00000.tar/1", "00001.tar/2"].map(str::to_owned).into();
        let detection = judge(&drill(), &scores, &flagged).expect("is the drill's");
        assert_eq!(detection, Detection { auroc: 0.5, precision: 0.5, recall: 0.5 });
    }

    #[test]
    fn scores_of_another_data_set_are_refused() {
        assert!(judge(&drill(), &[row(7, "1", 0.5)], &BTreeSet::new()).is_err());
    }

    #[test]
    fn other_detectors_are_judged_by_their_columns_as_they_are_meant() {
        // The poisoned pair has the weaker similarity, and is the less isolated.
        let with = |member: &str, signals: [f32; 2]| ScoreRow { signals: signals.to_vec(), ..row(0, member, 0.0) };
        let names = ["similarity", "isolation"].map(str::to_owned).to_vec();
        let scores = Scores { names, rows: vec![with("0", [0.9, 0.7]), with("1", [0.1, 0.6])] };
        let expected = [("clip-score".to_owned(), 1.0), ("isolation-forest".to_owned(), 0.0)].into();
        assert_eq!(detectors(&drill(), &scores), expected);
    }
}
