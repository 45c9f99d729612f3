//! How well an audit found the poison, by the truth.

use std::collections::{BTreeMap, BTreeSet};

use lethe_common::spec::Detector;
use lethe_evidence::artifacts::{Exhibit, ScoreRow, Scores, TokenGrid};
use lethe_evidence::ranking::auroc;
use serde::{Deserialize, Serialize};

use crate::drill::{Drill, key};
use crate::error::RedteamError;
use crate::trigger::Square;

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

/// The first pass of ours, where it is compared with other detectors.
pub const FIRST_PASS: &str = "ubt-first-pass";

/// The AUROC of every detector whose column the table has, by its name; ours is that of the first pass alone.
pub fn detectors(drill: &Drill, scores: &Scores) -> BTreeMap<String, f64> {
    let labels: Vec<bool> = scores.rows.iter().map(|row| drill.is_poisoned(&key(row.shard, &row.key))).collect();
    let of = |detector: Detector| {
        let (column, is_high) = detector.column().unwrap_or(("first_pass_suspicion", true));
        let at = scores.names.iter().position(|name| name == column)?;
        let turned = |row: &ScoreRow| if is_high { row.signals[at] } else { -row.signals[at] };
        let values: Vec<f32> = scores.rows.iter().map(turned).collect();
        let name = if detector == Detector::Ubt { FIRST_PASS } else { detector.as_str() };
        Some((name.to_owned(), auroc(&values, &labels)?))
    };
    Detector::ALL.into_iter().filter_map(of).collect()
}

/// A token belongs to an exhibit's region when it carries at least this share of the strongest token's, as in the report.
const PEAK_SHARE: f32 = 0.6;

/// How well the exhibits' regions cover the true patches: the mean of intersection over union, in pixels. `None` where no
/// exhibit has a patch.
pub fn region_iou(drill: &Drill, exhibits: &[Exhibit]) -> Option<f64> {
    let one = |exhibit: &Exhibit| {
        let square = drill.poisoned.get(&key(exhibit.shard, &exhibit.key))?.square?;
        Some(iou(&exhibit.grid, square, exhibit.picture.side_px as usize))
    };
    let found: Vec<f64> = exhibits.iter().filter_map(one).collect();
    (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64)
}

fn iou(grid: &TokenGrid, square: Square, side: usize) -> f64 {
    let most = grid.falls.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let cell = |pixel: usize, cells: u32| pixel * cells as usize / side;
    let in_region = |row: usize, column: usize| {
        let token = cell(row, grid.rows) * grid.columns as usize + cell(column, grid.columns);
        grid.falls.get(token).is_some_and(|fall| *fall >= PEAK_SHARE * most)
    };
    let within = |at: usize, from: usize| (from..from + square.side).contains(&at);
    let (mut both, mut either) = (0_u32, 0_u32);
    for (row, column) in (0..side).flat_map(|row| (0..side).map(move |column| (row, column))) {
        let (region, truth) = (in_region(row, column), within(row, square.top) && within(column, square.left));
        both += u32::from(region && truth);
        either += u32::from(region || truth);
    }
    f64::from(both) / f64::from(either.max(1))
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
    fn a_region_is_compared_with_the_true_patch_in_pixels() {
        let grid = |falls: [f32; 4]| TokenGrid { rows: 2, columns: 2, falls: falls.to_vec() };
        // The upper right cell of four pixels a side, and a patch of four that covers a half of it.
        let square = Square { top: 0, left: 6, side: 4 };
        assert_eq!(iou(&grid([0.1, 0.9, 0.2, 0.0]), Square { top: 0, left: 4, side: 4 }, 8), 1.0);
        assert_eq!(iou(&grid([0.1, 0.9, 0.2, 0.0]), Square { left: 2, ..square }, 8), 8.0 / 24.0);
        assert_eq!(iou(&grid([0.9, 0.1, 0.1, 0.6]), Square { top: 2, left: 2, side: 4 }, 8), 8.0 / 40.0);
        assert_eq!(iou(&grid([0.9, 0.1, 0.2, 0.0]), Square { top: 4, left: 4, side: 4 }, 8), 0.0);
    }

    #[test]
    fn other_detectors_are_judged_by_their_columns_as_they_are_meant() {
        // The poisoned pair has the weaker similarity, and is the less isolated.
        let with = |member: &str, signals: [f32; 3]| ScoreRow { signals: signals.to_vec(), ..row(0, member, 0.0) };
        let names = ["similarity", "isolation", "first_pass_suspicion"].map(str::to_owned).to_vec();
        let scores = Scores { names, rows: vec![with("0", [0.9, 0.7, 0.1]), with("1", [0.1, 0.6, 0.2])] };
        let auroc = [("clip-score", 1.0), ("isolation-forest", 0.0), (FIRST_PASS, 1.0)];
        let expected = auroc.map(|(name, auroc)| (name.to_owned(), auroc)).into();
        assert_eq!(detectors(&drill(), &scores), expected);
    }
}
