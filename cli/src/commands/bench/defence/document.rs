//! The cells as a table for people, setting by setting.
//!
//! A victim that did not learn its backdoor is listed by itself and counted nowhere; what other code found is in the CSV alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use lethe_evidence::artifacts::Verdict;
use lethe_redteam::attack::Attack;
use lethe_redteam::detection::FIRST_PASS;
use lethe_redteam::recipe::Recipe;

use super::cell::{Cell, Question};
use super::remedy::Remedy;
use super::setting::Setting;
use super::table::{Figure, Summary, auroc, head, is_learned, share, success, word};
use super::variants::{left_out, rows};

const OPENING: &str = "# Defence

Made by `lethe bench defence`; defence.csv has a row for each cell. Points of attack success above the clean twin's (same pairs and \
seed, no poison), points of clean accuracy lost (of recall at 10 on drawings); mean (worst). Precision is of those that dropped anything; \
missed are those that came out as nothing found; pairs trained are the most of any. Victims that did not learn their backdoor (attack \
success below 90 %) count in no mean, and are listed below each setting's tables. Remedies that make nothing of what the audit finds (peers.md) \
have no figures of it.
";

pub fn document(cells: &[&Cell]) -> String {
    let (stale, own): (Vec<&Cell>, Vec<&Cell>) = cells.iter().partition(|cell| cell.is_stale());
    let mut by_setting: BTreeMap<Setting, Vec<&Cell>> = BTreeMap::new();
    for cell in own {
        by_setting.entry(Setting::of(&cell.question.recipe)).or_default().push(cell);
    }
    let mut text = OPENING.to_owned();
    if by_setting.len() > 1 {
        let _ = write!(text, "\n{}", overview(&by_setting));
    }
    for (setting, cells) in &by_setting {
        let _ = write!(text, "\n## {setting}: {}\n\n{}", seeds(cells), section(cells));
    }
    text + &left_out(stale.len(), cells.len())
}

fn seeds(cells: &[&Cell]) -> String {
    let seeds: BTreeSet<u64> = cells.iter().map(|cell| cell.question.recipe.seed).collect();
    let seeds: Vec<String> = seeds.into_iter().map(|seed| seed.to_string()).collect();
    format!("{} {}", if seeds.len() == 1 { "seed" } else { "seeds" }, seeds.join(", "))
}

/// The remedies that find what they take away, in each setting, also where no victim learned its backdoor.
fn overview(by_setting: &BTreeMap<Setting, Vec<&Cell>>) -> String {
    let mut text = "Remedies that take away what the audit found, setting by setting; the others stand under their settings. Each row has victims of its own.\n\n".to_owned();
    text.push_str(&head("setting | remedy | victims run"));
    for (setting, cells) in by_setting {
        let mut by_remedy: BTreeMap<Remedy, Vec<&Cell>> = BTreeMap::new();
        for cell in cells.iter().copied().filter(|cell| cell.question.remedy.rests_on_evidence()) {
            by_remedy.entry(cell.question.remedy).or_default().push(cell);
        }
        for (remedy, cells) in by_remedy {
            let names = format!("{setting} | {} | {}", remedy.name(), cells.len());
            let learned: Vec<&Cell> = cells.into_iter().filter(|cell| is_learned(cell)).collect();
            let none = || format!("| {names} | 0 |{}\n", " - |".repeat(7));
            text.push_str(&Summary::of(&learned).map_or_else(none, |summary| summary.row(&names)));
        }
    }
    text
}

fn section(cells: &[&Cell]) -> String {
    let (learned, others): (Vec<&Cell>, Vec<&Cell>) = cells.iter().partition(|cell| is_learned(cell));
    let mut text = String::new();
    if !learned.is_empty() {
        text.push_str(&of_learned(cells, &learned));
    }
    if !others.is_empty() {
        let gap = if learned.is_empty() { "" } else { "\n" };
        let _ = write!(text, "{gap}Not learned:\n\n{}", not_learned(&others));
    }
    text
}

fn of_learned(cells: &[&Cell], learned: &[&Cell]) -> String {
    let mut text = head("remedy");
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
        cells.iter().map(|cell| victim(&cell.question.recipe)).collect()
    };
    if by_remedy.values().map(victims).collect::<BTreeSet<_>>().len() > 1 {
        let names = |question: &Question| question.remedy.name().to_owned();
        if let Some(common) = rows("remedy", cells, |question| question.remedy, names) {
            let _ = write!(text, "\nThe same on the victims that each of these remedies had:\n\n{common}");
        }
    }
    text.push_str(&detectors(learned));
    let _ = write!(text, "\n{}", head("attack | remedy"));
    for ((attack, remedy), cells) in &by_attack {
        text.extend(Summary::of(cells).map(|summary| summary.row(&format!("{attack} | {}", remedy.name()))));
    }
    text
}

/// Who it is within its setting.
pub(super) fn victim(recipe: &Recipe) -> (Attack, u64) {
    (recipe.attack, recipe.seed)
}

/// What was half learned is dangerous too: what became of it is told, though it counts nowhere.
fn not_learned(cells: &[&Cell]) -> String {
    let mut text =
        "| victim | remedy | attack success before | after | the twin's | accuracy lost | AUROC | verdict |\n\
| --- | --- | --- | --- | --- | --- | --- | --- |\n"
            .to_owned();
    for cell in cells {
        let Question { recipe, remedy, .. } = &cell.question;
        let lost = 100.0 * (cell.before.clean_accuracy - cell.after.clean_accuracy);
        let has_verdict = remedy.rests_on_evidence() || cell.verdict == Verdict::Rejected;
        let _ = writeln!(
            text,
            "| {}, seed {} | {} | {} | {} | {} | {lost:+.1} | {} | {} |",
            recipe.attack,
            recipe.seed,
            remedy.name(),
            share(success(cell.before.attack_success)),
            share(success(cell.after.attack_success)),
            share(success(cell.twin.attack_success)),
            auroc(cell),
            if has_verdict { word(&cell.verdict) } else { "-".to_owned() },
        );
    }
    text
}

/// How well each detector ranks the poison among all pairs. A victim counts once for each, by its first cell that has it.
fn detectors(cells: &[&Cell]) -> String {
    let mut victims: BTreeMap<(Attack, u64), BTreeMap<&str, f64>> = BTreeMap::new();
    for cell in cells.iter().filter(|cell| !cell.detectors.is_empty()) {
        let found = victims.entry(victim(&cell.question.recipe)).or_default();
        let trusted = cell.question.remedy.needs_other_weights();
        let others = cell.detectors.iter().filter(|(name, _)| !(trusted && *name == FIRST_PASS));
        let others = others.map(|(name, auroc)| (name.as_str(), *auroc));
        for (name, auroc) in others.chain([(cell.question.remedy.name(), cell.suspects.auroc)]) {
            found.entry(name).or_insert(auroc);
        }
    }
    let mut by_detector: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (name, auroc) in victims.values().flatten() {
        by_detector.entry(name).or_default().push(*auroc);
    }
    if by_detector.is_empty() {
        return String::new();
    }
    let mut text =
        "\nAUROC of the detectors over all pairs, mean (worst), each of the victims that it was tried on. `ubt` is the whole audit, `ubt-first-pass` what \
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
mod tests {
    use super::super::cell::tests::{cell, question};
    use super::super::table::tests::cells;
    use super::*;

    fn of(cells: &[Cell]) -> String {
        document(&cells.iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_mean_stands_beside_its_worst_and_weak_victims_are_listed() {
        let text = of(&cells());
        let ubt = text.lines().find(|line| line.starts_with("| ubt |")).expect("is summed up");
        // Excess 0 and 10 points, 0 and 2 points lost.
        assert!(ubt.starts_with("| ubt | 2 | +5.0 (+10.0) | +1.0 (+2.0) | 0.9990 (0.9990) |"), "{ubt}");
        assert!(ubt.ends_with("| 1 | 0 | 33280 |"), "{ubt}");
        let weak = "| wanet, seed 1 | ubt | 30.0 % | 20.0 % | 3.0 % | +0.0 | 0.9990 | removed |";
        assert!(text.contains(weak) && !text.contains("| wanet |"), "{text}");
        assert!(!text.contains("each of these remedies had") && !text.contains("other code"), "{text}");
    }

    #[test]
    fn what_other_code_found_is_counted_and_in_no_sum() {
        let mut cells = cells();
        cells[1].method = "other".to_owned();
        let text = of(&cells);
        assert!(text.contains("| ubt | 1 | +0.0 (+0.0) | +0.0 (+0.0) |"), "{text}");
        assert!(text.contains("1 of 3 cells were computed by other code") && !text.contains("blended"), "{text}");
    }

    #[test]
    fn settings_have_tables_of_their_own() {
        let mut cells = cells();
        cells[1].question.recipe.rate = 0.005;
        cells[2].question.recipe.rate = 0.001;
        cells[2].question.recipe.seed = 3;
        let text = of(&cells);
        let sections: Vec<&str> = text.split("\n## ").skip(1).collect();
        let (overview, _) = text.split_once("\n## ").expect("has sections");
        let rates = ["| fashion-mnist, vit, 2 %", "| fashion-mnist, vit, 0.5 %"].map(|start| overview.find(start));
        assert!(rates[0] < rates[1] && rates[0].is_some(), "{overview}");
        assert!(overview.contains("0.1 % poisoned, trained from scratch, 4 epochs | ubt | 1 | 0 | - |"), "{overview}");
        assert_eq!(sections.len(), 3, "{text}");
        let starts = ["2 % poisoned", "0.5 % poisoned", "0.1 % poisoned"];
        let found = |at: usize| sections[at].starts_with(&format!("fashion-mnist, vit, {}", starts[at]));
        assert!((0..3).all(found), "{text}");
        assert!(sections[0].contains("| ubt | 1 | +0.0") && sections[1].contains("| ubt | 1 | +10.0"), "{text}");
        assert!(sections[2].contains("4 epochs: seed 3\n\nNot learned:\n\n| victim |"), "{text}");
    }

    #[test]
    fn remedies_with_other_victims_are_compared_on_those_that_all_had() {
        let mut cells = cells();
        cells.push(cell(question(Attack::Badnet, 1, Remedy::Par), (0.83, 0.13)));
        let text = of(&cells);
        let (_, common) = text.split_once("each of these remedies had:\n\n").expect("have other victims");
        let rows: Vec<&str> = common.lines().skip(2).take(3).collect();
        assert!(rows[0].starts_with("| ubt | 1 | +0.0 (+0.0) |"), "{common}");
        assert!(rows[1].starts_with("| par | 1 | +10.0 (+10.0) |") && rows[2].is_empty(), "{common}");
        cells.push(cell(question(Attack::Sig, 1, Remedy::CleanClip), (0.83, 0.13)));
        assert!(!of(&cells).contains("each of these remedies had"), "no victim is of all");
    }

    #[test]
    fn detectors_stand_side_by_side_the_best_first() {
        let text = of(&cells());
        let at = |line: &str| text.find(line).unwrap_or_else(|| panic!("{line} is missing: {text}"));
        // The weak victim does not count.
        assert!(at("| ubt | 2 | 0.9990 (0.9990) |") < at("| dao | 2 | 0.8000 (0.8000) |"));
    }

    #[test]
    fn a_remedy_that_finds_nothing_itself_has_no_figures_of_finding() {
        let mut found = cell(question(Attack::Badnet, 1, Remedy::CleanClip), (0.85, 0.5));
        found.verdict = Verdict::NothingFound;
        found.trained = 144_000;
        let text = document(&[&found]);
        let row = text.lines().find(|line| line.starts_with("| clean-clip |")).expect("is summed up");
        assert!(row.ends_with("| - | - | - | 0 | 144000 |"), "{row}");
        found.before.attack_success = Some(0.5);
        assert!(document(&[&found]).contains("| +1.0 | - | - |\n"), "nor where the backdoor was not learned");
        found.verdict = Verdict::Rejected;
        assert!(document(&[&found]).contains("| +1.0 | - | rejected |\n"), "a rejection is the result's");
    }
}
