//! How well an audit found the poison, by the truth.

use std::collections::BTreeSet;

use lethe_evidence::artifacts::ScoreRow;
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

    #[test]
    fn shares_are_counted_by_the_truth() {
        let scores = [(0, "0", 0.1), (0, "1", 0.9), (1, "2", 1.0 - 1e-12), (1, "3", 1.0 - 2e-12)]
            .map(|(shard, key, suspicion)| ScoreRow { shard, key: key.to_owned(), suspicion });
        let flagged = ["00000.tar/1", "00001.tar/2"].map(str::to_owned).into();
        let detection = judge(&drill(), &scores, &flagged).expect("is the drill's");
        assert_eq!(detection, Detection { auroc: 0.5, precision: 0.5, recall: 0.5 });
    }

    #[test]
    fn scores_of_another_data_set_are_refused() {
        let scores = [ScoreRow { shard: 7, key: "1".to_owned(), suspicion: 0.5 }];
        assert!(judge(&drill(), &scores, &BTreeSet::new()).is_err());
    }
}
