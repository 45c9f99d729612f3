//! Tables of what is varied: the default remedy with one of its choices replaced, and remedies at other learning rates and weights.
//!
//! Every row must be of the same victims, or two choices are not compared.

use std::collections::BTreeMap;
use std::path::Path;

use lethe_redteam::attack::Attack;

use super::cell::{Cell, Question};
use super::document::victim;
use super::setting::Setting;
use super::table::{Summary, head, is_learned, put};

/// Writes the table of ablations as Markdown, and gives it.
pub fn write_ablations(folder: &Path, cells: &[&Cell]) -> anyhow::Result<String> {
    let text = ablations(cells);
    put(folder, "ablations.md", &text)?;
    Ok(text)
}

/// Writes the table of learning rates and weights as Markdown, and gives it.
pub fn write_tuning(folder: &Path, cells: &[&Cell]) -> anyhow::Result<String> {
    let text = tuning(cells);
    put(folder, "tuning.md", &text)?;
    Ok(text)
}

fn ablations(cells: &[&Cell]) -> String {
    let opening = "# Ablations\n\nMade by `lethe bench defence --ablations`. Each row is `ubt` with one choice replaced, on those victims \
that every row has and that learned their backdoor; columns are those of defence.md: mean (worst). Another split signal also changes what \
the stand-in forgets and a tenth of the final score.\n\n";
    let names = |question: &Question| match question.ablation {
        None => "- | nothing: the default".to_owned(),
        Some(ablation) => format!("{} | {}", ablation.choice(), ablation.name()),
    };
    whole(opening, cells, |own| rows("choice | replaced by", own, |question| question.ablation, names))
}

fn tuning(cells: &[&Cell]) -> String {
    let opening = "# Learning rates and weights\n\nMade by `lethe bench defence`, of what was asked for by `--learning-rates` and `--weights`. Each row is a remedy at \
another learning rate or weight, on those victims that every row has and that learned their backdoor; columns are those of defence.md: mean \
(worst).\n\n";
    let by = |question: &Question| (question.remedy, question.tuned());
    let own = || "its own".to_owned();
    let names = |question: &Question| {
        let rate = question.learning_rate.map_or_else(own, |rate| format!("{rate:e}"));
        let weight = question.weight.map_or_else(own, |weight| weight.to_string());
        format!("{} | {rate} | {weight}", question.remedy.name())
    };
    whole(opening, cells, |own| rows("remedy | learning rate | weight", own, by, names))
}

/// With the victims' setting, and without what other code found. All cells are of one setting, as they were asked for.
fn whole(opening: &str, cells: &[&Cell], table: impl FnOnce(&[&Cell]) -> Option<String>) -> String {
    let (stale, own): (Vec<&Cell>, Vec<&Cell>) = cells.iter().partition(|cell| cell.is_stale());
    let mut text = opening.to_owned();
    text.extend(cells.first().map(|cell| format!("Victims: {}.\n\n", Setting::of(&cell.question.recipe))));
    text.push_str(&table(&own).unwrap_or_else(|| "No victim that learned its backdoor has every row.\n".to_owned()));
    text + &left_out(stale.len(), cells.len())
}

/// How many cells are of other code, where some are.
pub(super) fn left_out(stale: usize, all: usize) -> String {
    match stale {
        0 => String::new(),
        _ => format!(
            "\n{stale} of {all} cells were computed by other code than this, and are left out; `--again` computes them again.\n"
        ),
    }
}

/// A row for each of what the cells are told apart by, of the learned victims that all have. `None` where there is no such victim.
pub(super) fn rows<K: Ord>(
    columns: &str,
    cells: &[&Cell],
    by: impl Fn(&Question) -> K,
    names: impl Fn(&Question) -> String,
) -> Option<String> {
    let mut rows: BTreeMap<K, BTreeMap<(Attack, u64), &Cell>> = BTreeMap::new();
    for cell in cells.iter().filter(|cell| is_learned(cell)) {
        rows.entry(by(&cell.question)).or_default().insert(victim(&cell.question.recipe), cell);
    }
    let in_all = |victim: &(Attack, u64)| rows.values().all(|row| row.contains_key(victim));
    let mut summed = String::new();
    for row in rows.values() {
        let common: Vec<&Cell> = row.iter().filter(|(victim, _)| in_all(victim)).map(|(_, cell)| *cell).collect();
        summed.extend(Summary::of(&common).map(|summary| summary.row(&names(&common[0].question))));
    }
    Some(summed).filter(|summed| !summed.is_empty()).map(|summed| head(columns) + &summed)
}

#[cfg(test)]
mod tests {
    use super::super::ablation::Ablation;
    use super::super::cell::tests::{cell, question};
    use super::super::remedy::Remedy;
    use super::*;

    fn varied(attack: Attack, remedy: Remedy, after: (f64, f64), vary: impl Fn(&mut Question)) -> Cell {
        let mut found = cell(question(attack, 1, remedy), after);
        vary(&mut found.question);
        found
    }

    #[test]
    fn rows_are_of_the_victims_that_all_have() {
        let of = |attack, ablation, after| varied(attack, Remedy::Ubt, after, |question| question.ablation = ablation);
        let cells = [
            of(Attack::Badnet, None, (0.86, 0.03)),
            of(Attack::Blended, None, (0.86, 0.93)),
            of(Attack::Badnet, Some(Ablation::NoAnchor), (0.80, 0.03)),
        ];
        let text = ablations(&cells.iter().collect::<Vec<_>>());
        // The blended victim has no cell without an anchor.
        assert!(text.contains("| - | nothing: the default | 1 | +0.0 (+0.0) | +0.0 (+0.0) |"), "{text}");
        assert!(text.contains("| anchor | no-anchor | 1 | +0.0 (+0.0) | +6.0 (+6.0) |"), "{text}");
        assert!(text.contains("Victims: fashion-mnist, vit, 2 % poisoned, trained from scratch, 4 epochs."), "{text}");
        let mut old = cells;
        old[2].method = "other".to_owned();
        let text = ablations(&old.iter().collect::<Vec<_>>());
        assert!(!text.contains("no-anchor") && text.contains("1 of 3 cells were computed by other code"), "{text}");
        assert!(ablations(&[&old[2]]).contains("No victim that learned"));
    }

    #[test]
    fn a_remedy_at_another_rate_or_weight_is_a_row_of_its_own_in_their_order() {
        let at = |rate, weight, after| {
            varied(Attack::Badnet, Remedy::Par, (0.86, after), |question| {
                (question.learning_rate, question.weight) = (Some(rate), weight);
            })
        };
        let cells = [at(1.5e-3, Some(4.0), 0.53), at(6e-3, None, 0.03), at(1.5e-3, Some(0.5), 0.93)];
        let text = tuning(&cells.iter().collect::<Vec<_>>());
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| par |")).collect();
        let starts =
            ["| par | 1.5e-3 | 0.5 | 1 | +90.0", "| par | 1.5e-3 | 4 | 1 | +50.0", "| par | 6e-3 | its own | 1 | +0.0"];
        assert!(rows.iter().zip(starts).all(|(row, start)| row.starts_with(start)), "{text}");
        assert_eq!(rows.len(), 3, "{text}");
    }
}
