//! The table of ablations: what becomes of the default remedy when one of its choices is replaced.
//!
//! Every row must be of the same victims, or two choices are not compared.

use std::collections::BTreeMap;
use std::path::Path;

use super::ablation::Ablation;
use super::cell::Cell;
use super::table::{Summary, head, is_learned, put, stale};

/// Writes the table as Markdown, and gives it.
pub fn write(folder: &Path, cells: &[&Cell]) -> anyhow::Result<String> {
    let text = document(cells);
    put(folder, "ablations.md", &text)?;
    Ok(text)
}

fn document(cells: &[&Cell]) -> String {
    let mut text = "# Ablations\n\nMade by `lethe bench defence --ablations`. Each row is `ubt` with one choice replaced, on those victims that \
every row has and that learned their backdoor; columns are those of defence.md: mean (worst). Another split signal also changes what the \
stand-in forgets and a tenth of the final score.\n\n"
        .to_owned();
    let mut rows: BTreeMap<Option<Ablation>, BTreeMap<(String, u64), &Cell>> = BTreeMap::new();
    for cell in cells.iter().filter(|cell| is_learned(cell)) {
        let recipe = &cell.question.recipe;
        rows.entry(cell.question.ablation).or_default().insert((recipe.attack.to_string(), recipe.seed), cell);
    }
    let in_all = |victim: &(String, u64)| rows.values().all(|row| row.contains_key(victim));
    text.push_str(&head("choice | replaced by"));
    for (ablation, row) in &rows {
        let common: Vec<&Cell> = row.iter().filter(|(victim, _)| in_all(victim)).map(|(_, cell)| *cell).collect();
        let names = match ablation {
            None => "- | nothing: the default".to_owned(),
            Some(ablation) => format!("{} | {}", ablation.choice(), ablation.name()),
        };
        text.extend(Summary::of(&common).map(|summary| summary.row(&names)));
    }
    text + &stale(cells)
}

#[cfg(test)]
mod tests {
    use lethe_redteam::attack::Attack;

    use super::super::Remedy;
    use super::super::cell::tests::{cell, question};
    use super::*;

    #[test]
    fn rows_are_of_the_victims_that_all_have() {
        let of = |attack, ablation, after| {
            let mut found = cell(question(attack, 1, Remedy::Ubt), after);
            found.question.ablation = ablation;
            found
        };
        let cells = [
            of(Attack::Badnet, None, (0.86, 0.03)),
            of(Attack::Blended, None, (0.86, 0.93)),
            of(Attack::Badnet, Some(Ablation::NoAnchor), (0.80, 0.03)),
        ];
        let text = document(&cells.iter().collect::<Vec<_>>());
        // The blended victim has no cell without an anchor.
        assert!(text.contains("| - | nothing: the default | 1 | +0.0 (+0.0) | +0.0 (+0.0) |"), "{text}");
        assert!(text.contains("| anchor | no-anchor | 1 | +0.0 (+0.0) | +6.0 (+6.0) |"), "{text}");
    }
}
