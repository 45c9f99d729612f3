//! The cells as one row each and as a table for people.
//!
//! A mean never stands without the worst cell beside it, and a victim that did not learn its backdoor is named, not counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;
use lethe_common::spec::Detector;
use lethe_evidence::artifacts::Verdict;
use lethe_redteam::attack::Attack;
use lethe_redteam::detection::FIRST_PASS;

use super::cell::{Cell, Cells, Question};
use super::page::page;
use super::remedy::Remedy;
use super::variants::rows;

/// A victim below this has hardly a backdoor to remove.
const LEARNED: f64 = 0.9;
const COLUMNS: &str = "data_set,tower,attack,rate,start,epochs,seed,target,remedy,accuracy_before,accuracy_after,accuracy_twin,\
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

/// Writes the table as CSV, Markdown and a page; gives the Markdown.
pub fn write(folder: &Path, cells: &[&Cell]) -> anyhow::Result<String> {
    let text = document(cells);
    put(folder, "defence.csv", &csv(cells))?;
    put(folder, "defence.md", &text)?;
    put(folder, "defence.html", &page(cells).into_string())?;
    Ok(text)
}

pub(super) fn put(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = folder.join(name);
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// One cell while it is new.
pub fn line(cell: &Cell) -> String {
    format!(
        "  accuracy {} -> {} (twin {}), attack success {} -> {} (twin {}), AUROC {:.4}, precision {}, {:?}, {:.0} s",
        share(cell.before.clean_accuracy),
        share(cell.after.clean_accuracy),
        share(cell.twin.clean_accuracy),
        share(success(cell.before.attack_success)),
        share(success(cell.after.attack_success)),
        share(success(cell.twin.attack_success)),
        cell.suspects.auroc,
        share(cell.suspects.precision),
        cell.verdict,
        cell.seconds,
    )
}

/// The cells that are asked for, in the table's order: others may be of another configuration.
pub fn sorted<'a>(cells: &'a Cells, wanted: &BTreeSet<String>) -> Vec<&'a Cell> {
    let mut all: Vec<&Cell> = cells.iter().filter(|cell| wanted.contains(&cell.key)).collect();
    let order = |cell: &Cell| {
        let Question { recipe, remedy, ablation, .. } = &cell.question;
        (recipe.attack, recipe.seed, *remedy, *ablation, cell.question.tuned())
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
            format!("{:.5}", cell.suspects.auroc),
            format!("{:.4}", cell.suspects.precision),
            format!("{:.4}", cell.suspects.recall),
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
struct Figure {
    mean: f64,
    worst: f64,
}

impl Figure {
    fn of(values: impl Iterator<Item = f64>, worse: fn(f64, f64) -> f64) -> Option<Self> {
        let values: Vec<f64> = values.collect();
        let worst = values.iter().copied().reduce(worse)?;
        Some(Self { mean: values.iter().sum::<f64>() / values.len() as f64, worst })
    }

    fn points(self) -> String {
        format!("{:+.1} ({:+.1})", 100.0 * self.mean, 100.0 * self.worst)
    }

    fn shares(self) -> String {
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
            precision: Figure::of(
                finding().filter(|cell| cell.dropped > 0).map(|cell| cell.suspects.precision),
                f64::min,
            ),
            trained: cells.iter().map(|cell| cell.trained).max()?,
            missed: finding().next().map(|_| with(Verdict::NothingFound)),
            rejected: with(Verdict::Rejected),
        })
    }

    pub fn row(&self, names: &str) -> String {
        let nothing = || "-".to_owned();
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

fn document(cells: &[&Cell]) -> String {
    let mut text = "# Defence\n\nMade by `lethe bench defence`; every row of it is in defence.csv. Points of attack success above the clean twin's \
(same pairs and seed, no poison), points of clean accuracy lost; mean (worst). Victims that did not learn their backdoor (attack success \
below 90 %) are not counted, and named below. Remedies that make nothing of what the audit finds (peers.md) have no figures of it.\n\n"
        .to_owned();
    let (learned, others): (Vec<&Cell>, Vec<&Cell>) = cells.iter().partition(|cell| is_learned(cell));
    text.push_str(&head("remedy"));
    let detectors = detectors(&learned);
    let mut by_remedy: BTreeMap<Remedy, Vec<&Cell>> = BTreeMap::new();
    let mut by_attack: BTreeMap<(Attack, Remedy), Vec<&Cell>> = BTreeMap::new();
    for cell in learned {
        by_remedy.entry(cell.question.remedy).or_default().push(cell);
        by_attack.entry((cell.question.recipe.attack, cell.question.remedy)).or_default().push(cell);
    }
    for (remedy, cells) in &by_remedy {
        text.extend(Summary::of(cells).map(|summary| summary.row(remedy.name())));
    }
    let victims = |cells: &Vec<&Cell>| -> BTreeSet<(Attack, u64)> {
        cells.iter().map(|cell| (cell.question.recipe.attack, cell.question.recipe.seed)).collect()
    };
    if by_remedy.values().map(victims).collect::<BTreeSet<_>>().len() > 1 {
        let names = |question: &Question| question.remedy.name().to_owned();
        text.push_str("\nThe same on the victims that each of these remedies had:\n\n");
        text.push_str(&rows("remedy", cells, |question| question.remedy, names));
    }
    text.push_str(&detectors);
    let _ = write!(text, "\n{}", head("attack | remedy"));
    for ((attack, remedy), cells) in &by_attack {
        text.extend(Summary::of(cells).map(|summary| summary.row(&format!("{attack} | {}", remedy.name()))));
    }
    let mut not_learned: Vec<String> = others
        .iter()
        .map(|cell| {
            let recipe = &cell.question.recipe;
            format!("- {}, seed {}: {}\n", recipe.attack, recipe.seed, share(success(cell.before.attack_success)))
        })
        .collect();
    not_learned.sort();
    not_learned.dedup();
    if !not_learned.is_empty() {
        let _ = write!(text, "\nNot learned (attack success of the victim):\n\n{}", not_learned.concat());
    }
    text + &stale(cells)
}

/// How many cells are of other code, where some are.
pub(super) fn stale(cells: &[&Cell]) -> String {
    match cells.iter().filter(|cell| cell.is_stale()).count() {
        0 => String::new(),
        stale => format!("\n{stale} of {} cells were computed by other code than this.\n", cells.len()),
    }
}

/// How well each detector ranks the poison among all pairs. Each victim counts once: with `ubt` where it is there.
fn detectors(cells: &[&Cell]) -> String {
    let mut victims: BTreeMap<String, BTreeMap<&str, f64>> = BTreeMap::new();
    for cell in cells.iter().filter(|cell| !cell.detectors.is_empty()) {
        let found = victims.entry(format!("{:?}", cell.question.recipe)).or_default();
        let trusted = cell.question.remedy.needs_other_weights();
        let others = cell.detectors.iter().filter(|(name, _)| !(trusted && *name == FIRST_PASS));
        let others = others.map(|(name, auroc)| (name.as_str(), *auroc));
        found.extend(others.chain([(cell.question.remedy.name(), cell.suspects.auroc)]));
    }
    let mut by_detector: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (name, auroc) in victims.values().flatten() {
        by_detector.entry(name).or_default().push(*auroc);
    }
    if by_detector.is_empty() {
        return String::new();
    }
    let mut text =
        "\nAUROC of the detectors over all pairs, mean (worst). `ubt` is the whole audit, `ubt-first-pass` what \
stands in for one of the others. `abl` needs a checkpoint from early in the victim's training.\n\n\
| detector | victims | AUROC |\n| --- | --- | --- |\n"
            .to_owned();
    let mut rows: Vec<(&str, usize, Figure)> = by_detector
        .into_iter()
        .filter_map(|(name, found)| Some((name, found.len(), Figure::of(found.into_iter(), f64::min)?)))
        .collect();
    rows.sort_by(|a, b| b.2.mean.total_cmp(&a.2.mean));
    for (name, victims, auroc) in rows {
        let _ = writeln!(text, "| {name} | {victims} | {} |", auroc.shares());
    }
    text
}

#[cfg(test)]
pub mod tests {
    use super::super::cell::tests::{cell, question};
    use super::*;

    pub fn cells() -> Vec<Cell> {
        let mut weak = cell(question(Attack::Wanet, 1, Remedy::Ubt), (0.86, 0.2));
        weak.before.attack_success = Some(0.3);
        let mut missed = cell(question(Attack::Blended, 1, Remedy::Ubt), (0.84, 0.13));
        missed.verdict = Verdict::NothingFound;
        missed.method = "other".to_owned();
        vec![cell(question(Attack::Badnet, 1, Remedy::Ubt), (0.86, 0.03)), missed, weak]
    }

    #[test]
    fn a_mean_stands_beside_its_worst_and_weak_victims_are_named() {
        let cells = cells();
        let text = document(&cells.iter().collect::<Vec<_>>());
        let ubt = text.lines().find(|line| line.starts_with("| ubt |")).expect("is summed up");
        // Excess 0 and 10 points, 0 and 2 points lost.
        assert!(ubt.starts_with("| ubt | 2 | +5.0 (+10.0) | +1.0 (+2.0) | 0.9990 (0.9990) |"), "{ubt}");
        assert!(ubt.ends_with("| 1 | 0 | 33280 |"), "{ubt}");
        assert!(text.contains("- wanet, seed 1: 30.0 %") && !text.contains("| wanet |"), "{text}");
        assert!(text.contains("1 of 3 cells were computed by other code"), "{text}");
        assert!(!text.contains("each of these remedies had"), "{text}");
    }

    #[test]
    fn remedies_with_other_victims_are_compared_on_those_that_all_had() {
        let mut cells = cells();
        cells.push(cell(question(Attack::Badnet, 1, Remedy::Par), (0.83, 0.13)));
        let text = document(&cells.iter().collect::<Vec<_>>());
        let (_, common) = text.split_once("each of these remedies had:\n\n").expect("have other victims");
        let rows: Vec<&str> = common.lines().skip(2).take(3).collect();
        assert!(rows[0].starts_with("| ubt | 1 | +0.0 (+0.0) |"), "{common}");
        assert!(rows[1].starts_with("| par | 1 | +10.0 (+10.0) |") && rows[2].is_empty(), "{common}");
    }

    #[test]
    fn detectors_stand_side_by_side_the_best_first() {
        let cells = cells();
        let text = document(&cells.iter().collect::<Vec<_>>());
        let at = |line: &str| text.find(line).unwrap_or_else(|| panic!("{line} is missing: {text}"));
        // The weak victim does not count.
        assert!(at("| ubt | 2 | 0.9990 (0.9990) |") < at("| dao | 2 | 0.8000 (0.8000) |"));
        let text = csv(&cells.iter().collect::<Vec<_>>());
        assert!(text.lines().next().is_some_and(|head| head.ends_with("auroc_dao,auroc_isolation_forest,auroc_abl")));
        assert!(text.lines().nth(1).is_some_and(|row| row.ends_with(",0.80000,,")), "{text}");
    }

    #[test]
    fn a_remedy_that_finds_nothing_itself_has_no_figures_of_finding() {
        let mut found = cell(question(Attack::Badnet, 1, Remedy::CleanClip), (0.85, 0.5));
        found.verdict = Verdict::NothingFound;
        found.trained = 144_000;
        let text = document(&[&found]);
        let row = text.lines().find(|line| line.starts_with("| clean-clip |")).expect("is summed up");
        assert!(row.ends_with("| - | - | - | 0 | 144000 |"), "{row}");
        assert!(page(&[&found]).into_string().contains("circle class=\"clean-clip\""));
    }

    #[test]
    fn a_row_has_every_column_and_shares_between_0_and_1() {
        let cells = cells();
        let text = csv(&cells.iter().collect::<Vec<_>>());
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!(rows.len(), 4);
        assert!(rows.iter().all(|row| row.len() == rows[0].len()));
        let at = |name: &str| rows[0].iter().position(|column| *column == name).expect("is a column");
        assert_eq!(
            (rows[2][at("success_after")], rows[2][at("verdict")], rows[2][at("stale")]),
            ("0.1300", "nothing-found", "true")
        );
    }
}
