//! The cells as one row each, and some of them summed up.
//!
//! A mean never stands without the worst cell beside it.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context;
use lethe_common::spec::Detector;
use lethe_evidence::artifacts::Verdict;
use lethe_redteam::detection::FIRST_PASS;

use super::cell::{Cell, Cells, Question};
use super::document::document;
use super::page::page;
use super::setting::Setting;

/// A victim below this has hardly a backdoor to remove.
const LEARNED: f64 = 0.9;
const COLUMNS: &str = "data_set,tower,attack,rate,start,pairs,epochs,seed,target,remedy,accuracy_before,accuracy_after,accuracy_twin,\
success_before,success_after,success_twin,auroc,precision,recall,region_iou,dropped,samples_trained,verdict,seconds,method,stale";
/// The detectors follow, a column each.
fn columns() -> String {
    let detectors = detectors_by_name().map(|name| format!(",auroc_{}", name.replace('-', "_")));
    COLUMNS.to_owned() + &detectors.collect::<String>()
}

fn detectors_by_name() -> impl Iterator<Item = &'static str> {
    let name = |detector: Detector| if detector == Detector::Ubt { FIRST_PASS } else { detector.as_str() };
    Detector::ALL.into_iter().map(name)
}

/// Writes all cells that are there as CSV, Markdown and a page; gives as Markdown those that are asked for.
pub fn write(folder: &Path, cells: &Cells, wanted: &[&Cell]) -> anyhow::Result<String> {
    let all = kept(cells)?;
    put(folder, "defence.csv", &csv(&all))?;
    put(folder, "defence.md", &document(&all))?;
    put(folder, "defence.html", &page(&all).into_string())?;
    Ok(document(wanted))
}

pub(super) fn put(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = folder.join(name);
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// One cell while it is new.
pub fn line(cell: &Cell) -> String {
    format!(
        "  accuracy {} -> {} (twin {}), attack success {} -> {} (twin {}), AUROC {}, precision {}, {:?}, {:.0} s",
        share(cell.before.clean_accuracy),
        share(cell.after.clean_accuracy),
        share(cell.twin.clean_accuracy),
        share(success(cell.before.attack_success)),
        share(success(cell.after.attack_success)),
        share(success(cell.twin.attack_success)),
        auroc(cell),
        precision(cell),
        cell.verdict,
        cell.seconds,
    )
}

/// The cells that are asked for, in the table's order.
pub fn sorted<'a>(cells: &'a Cells, wanted: &BTreeSet<String>) -> Vec<&'a Cell> {
    in_order(cells.iter().filter(|cell| wanted.contains(&cell.key)))
}

/// Those of remedies as they are, whatever was asked for; not those of a configuration that they had once.
fn kept(cells: &Cells) -> anyhow::Result<Vec<&Cell>> {
    let mut kept = Vec::new();
    for cell in cells.iter() {
        let question = &cell.question;
        let usual = Question::new(question.recipe.clone(), question.remedy);
        if *question == usual && question.key()? == cell.key {
            kept.push(cell);
        }
    }
    Ok(in_order(kept.into_iter()))
}

fn in_order<'a>(cells: impl Iterator<Item = &'a Cell>) -> Vec<&'a Cell> {
    let mut all: Vec<&Cell> = cells.collect();
    let order = |cell: &Cell| {
        let Question { recipe, remedy, ablation, .. } = &cell.question;
        (Setting::of(recipe), recipe.attack, recipe.seed, *remedy, *ablation, cell.question.tuned())
    };
    all.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.key.cmp(&b.key)));
    all
}

pub(super) fn success(share: Option<f64>) -> f64 {
    share.unwrap_or(0.0)
}

pub(super) fn share(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

pub(super) fn auroc(cell: &Cell) -> String {
    cell.finds().map_or_else(nothing, |found| format!("{:.4}", found.auroc))
}

pub(super) fn precision(cell: &Cell) -> String {
    cell.precision().map_or_else(nothing, share)
}

/// In place of a figure that there is none of.
fn nothing() -> String {
    "-".to_owned()
}

pub(super) fn word<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn csv(cells: &[&Cell]) -> String {
    let mut text = format!("{}\n", columns());
    for cell in cells {
        let recipe = &cell.question.recipe;
        let (before, after, twin) = (&cell.before, &cell.after, &cell.twin);
        let columns = [
            recipe.data.to_string(),
            recipe.tower.to_string(),
            recipe.attack.to_string(),
            recipe.rate.to_string(),
            word(&recipe.start),
            recipe.pairs.to_string(),
            recipe.epochs.to_string(),
            recipe.seed.to_string(),
            recipe.target.to_string(),
            cell.question.remedy.name().to_owned(),
            format!("{:.4}", before.clean_accuracy),
            format!("{:.4}", after.clean_accuracy),
            format!("{:.4}", twin.clean_accuracy),
            format!("{:.4}", success(before.attack_success)),
            format!("{:.4}", success(after.attack_success)),
            format!("{:.4}", success(twin.attack_success)),
            cell.finds().map_or_else(String::new, |found| format!("{:.5}", found.auroc)),
            cell.precision().map_or_else(String::new, |precision| format!("{precision:.4}")),
            cell.finds().map_or_else(String::new, |found| format!("{:.4}", found.recall)),
            cell.region_iou.map_or_else(String::new, |iou| format!("{iou:.3}")),
            cell.dropped.to_string(),
            cell.trained.to_string(),
            word(&cell.verdict),
            format!("{:.1}", cell.seconds),
            cell.method.clone(),
            cell.is_stale().to_string(),
        ];
        let others = detectors_by_name().map(|name| cell.detectors.get(name));
        let others = others.map(|auroc| auroc.map_or_else(String::new, |auroc| format!("{auroc:.5}")));
        text.push_str(&columns.into_iter().chain(others).collect::<Vec<_>>().join(","));
        text.push('\n');
    }
    text
}

/// A mean with its worst case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figure {
    pub mean: f64,
    pub worst: f64,
}

impl Figure {
    pub fn of(values: impl Iterator<Item = f64>, worse: fn(f64, f64) -> f64) -> Option<Self> {
        let values: Vec<f64> = values.collect();
        let worst = values.iter().copied().reduce(worse)?;
        Some(Self { mean: values.iter().sum::<f64>() / values.len() as f64, worst })
    }

    fn points(self) -> String {
        format!("{:+.1} ({:+.1})", 100.0 * self.mean, 100.0 * self.worst)
    }

    pub fn shares(self) -> String {
        format!("{:.4} ({:.4})", self.mean, self.worst)
    }
}

/// What one remedy did to some victims.
pub(super) struct Summary {
    cells: usize,
    /// Attack success above the clean twin's.
    excess: Figure,
    /// Clean accuracy that was lost.
    lost: Figure,
    /// Of remedies that rest on what was found.
    auroc: Option<Figure>,
    /// Of those that dropped anything.
    precision: Option<Figure>,
    trained: u64,
    missed: Option<usize>,
    rejected: usize,
}

impl Summary {
    pub fn of(cells: &[&Cell]) -> Option<Self> {
        let excess = |cell: &&Cell| success(cell.after.attack_success) - success(cell.twin.attack_success);
        let lost = |cell: &&Cell| cell.before.clean_accuracy - cell.after.clean_accuracy;
        let finding = || cells.iter().filter(|cell| cell.question.remedy.rests_on_evidence());
        let with = |verdict| cells.iter().filter(|cell| cell.verdict == verdict).count();
        Some(Self {
            cells: cells.len(),
            excess: Figure::of(cells.iter().map(excess), f64::max)?,
            lost: Figure::of(cells.iter().map(lost), f64::max)?,
            auroc: Figure::of(finding().map(|cell| cell.suspects.auroc), f64::min),
            precision: Figure::of(cells.iter().filter_map(|cell| cell.precision()), f64::min),
            trained: cells.iter().map(|cell| cell.trained).max()?,
            missed: finding().next().map(|_| with(Verdict::NothingFound)),
            rejected: with(Verdict::Rejected),
        })
    }

    pub fn row(&self, names: &str) -> String {
        format!(
            "| {names} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
            self.cells,
            self.excess.points(),
            self.lost.points(),
            self.auroc.map_or_else(nothing, Figure::shares),
            self.precision.map_or_else(nothing, Figure::shares),
            self.missed.map_or_else(nothing, |missed| missed.to_string()),
            self.rejected,
            self.trained,
        )
    }
}

pub(super) fn is_learned(cell: &Cell) -> bool {
    success(cell.before.attack_success) >= LEARNED
}

/// The first lines of a table of [`Summary::row`]s.
pub(super) fn head(first: &str) -> String {
    format!(
        "| {first} | victims | excess success | accuracy lost | AUROC | precision | missed | rejected | pairs trained |\n{}\n",
        "| --- ".repeat(first.matches('|').count() + 9) + "|"
    )
}

#[cfg(test)]
pub mod tests {
    use lethe_redteam::attack::Attack;

    use super::super::ablation::Ablation;
    use super::super::cell::tests::{cell, question};
    use super::super::remedy::Remedy;
    use super::*;

    pub fn cells() -> Vec<Cell> {
        let mut weak = cell(question(Attack::Wanet, 1, Remedy::Ubt), (0.86, 0.2));
        weak.before.attack_success = Some(0.3);
        let mut missed = cell(question(Attack::Blended, 1, Remedy::Ubt), (0.84, 0.13));
        missed.verdict = Verdict::NothingFound;
        vec![cell(question(Attack::Badnet, 1, Remedy::Ubt), (0.86, 0.03)), missed, weak]
    }

    #[test]
    fn a_row_has_every_column_and_shares_between_0_and_1() {
        let mut cells = cells();
        cells[1].method = "other".to_owned();
        let text = csv(&cells.iter().collect::<Vec<_>>());
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!(rows.len(), 4);
        assert!(rows.iter().all(|row| row.len() == rows[0].len()));
        let at = |name: &str| rows[0].iter().position(|column| *column == name).expect("is a column");
        assert_eq!(
            (rows[2][at("success_after")], rows[2][at("verdict")], rows[2][at("stale")]),
            ("0.1300", "nothing-found", "true")
        );
        assert_eq!(rows[1][at("stale")], "false");
        assert_eq!(rows[0][rows[0].len() - 3..], ["auroc_dao", "auroc_isolation_forest", "auroc_abl"]);
        assert_eq!(rows[1][rows[1].len() - 3..], ["0.80000", "", ""]);
    }

    #[test]
    fn all_cells_of_remedies_as_they_are_are_written_and_those_asked_for_are_given() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let mut cells = Cells::open(folder.path().join("cells.jsonl")).expect("is empty");
        let usual = question(Attack::Badnet, 1, Remedy::Ubt);
        let ablated = Question { ablation: Some(Ablation::NoAnchor), ..usual.clone() };
        let tuned = Question { learning_rate: Some(1e-3), ..usual.clone() };
        let once = Cell { key: "as it was once".to_owned(), ..cell(usual.clone(), (0.2, 0.9)) };
        let other = question(Attack::Sig, 2, Remedy::Par);
        let of = |question: Question| cell(question, (0.86, 0.03));
        for found in [of(usual.clone()), of(ablated), of(tuned), once, of(other)] {
            cells.add(found).expect("adds");
        }
        let wanted = BTreeSet::from([usual.key().expect("has one")]);
        let text = write(folder.path(), &cells, &sorted(&cells, &wanted)).expect("writes");
        assert!(text.contains("badnet") && !text.contains("sig"), "{text}");
        let read = |name| std::fs::read_to_string(folder.path().join(name)).expect("is there");
        assert_eq!(read("defence.csv").lines().count(), 3);
        assert!(read("defence.md").contains("| sig | par | 1 |"));
        assert!(read("defence.html").contains("circle class=\"par\""));
    }
}
