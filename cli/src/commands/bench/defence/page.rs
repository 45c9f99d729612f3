//! The cells as a page: one picture of accuracy against attack success, and a row each.
//!
//! It must load nothing from anywhere.

use maud::{DOCTYPE, Markup, html};

use super::cell::Cell;
use super::remedy::Remedy;
use super::setting::Setting;
use super::table::{auroc, is_learned, precision, share, success, word};

/// Pixels a side of the picture's plot.
const SIDE: f64 = 420.0;

/// Without what other code found, as in the tables.
pub fn page(cells: &[&Cell]) -> Markup {
    let cells: Vec<&Cell> = cells.iter().copied().filter(|cell| !cell.is_stale()).collect();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Lethe: every attack, every remedy" }
                style { (maud::PreEscaped(STYLE)) }
            }
            body {
                h1 { "Every attack, every remedy" }
                p { "Each point is one victim after one remedy. Left is better: the attack works no more often than on the clean twin. Up is \
                     better: no accuracy was lost." }
                @for group in cells.chunk_by(|a, b| setting(a) == setting(b)) { (section(group)) }
            }
        }
    }
}

/// The cells of one setting: accuracies of two data sets have no picture together.
fn section(cells: &[&Cell]) -> Markup {
    let learned: Vec<&Cell> = cells.iter().copied().filter(|cell| is_learned(cell)).collect();
    html! {
        h2 { (setting(cells[0])) }
        @if !learned.is_empty() { figure { (plot(&learned)) figcaption { (legend(&learned)) } } }
        table {
            thead { tr { @for name in ["attack", "seed", "remedy", "accuracy", "after", "attack success", "after", "twin", "AUROC", "precision", "verdict"] { th { (name) } } } }
            tbody { @for cell in cells { (row(cell)) } }
        }
    }
}

fn setting(cell: &Cell) -> Setting {
    Setting::of(&cell.question.recipe)
}

fn row(cell: &Cell) -> Markup {
    html! {
        tr.weak[!is_learned(cell)] {
            td { (cell.question.recipe.attack) } td { (cell.question.recipe.seed) } td { (cell.question.remedy.name()) }
            td { (share(cell.before.clean_accuracy)) } td { (share(cell.after.clean_accuracy)) }
            td { (share(success(cell.before.attack_success))) } td { (share(success(cell.after.attack_success))) }
            td { (share(success(cell.twin.attack_success))) }
            td { (auroc(cell)) } td { (precision(cell)) } td { (word(&cell.verdict)) }
        }
    }
}

/// Attack success above the twin's from left to right, the change of clean accuracy upwards.
fn plot(cells: &[&Cell]) -> Markup {
    let x = |cell: &Cell| success(cell.after.attack_success) - success(cell.twin.attack_success);
    let y = |cell: &Cell| cell.after.clean_accuracy - cell.before.clean_accuracy;
    let span = |values: Vec<f64>, least: f64, most: f64| {
        let (low, high) = values.iter().fold((least, most), |(low, high), value| (low.min(*value), high.max(*value)));
        (low, high - low)
    };
    let (left, width) = span(cells.iter().map(|cell| x(cell)).collect(), -0.05, 0.1);
    let (bottom, height) = span(cells.iter().map(|cell| y(cell)).collect(), -0.03, 0.01);
    let at = |cell: &Cell| ((x(cell) - left) / width * SIDE, SIDE - (y(cell) - bottom) / height * SIDE);
    let (zero_x, zero_y) = (-left / width * SIDE, SIDE + bottom / height * SIDE);
    html! {
        svg role="img" aria-label=(format!("attack success against clean accuracy of {} cells", cells.len()))
            viewBox=(format!("-60 -10 {} {}", SIDE + 90.0, SIDE + 60.0)) {
            line.axis x1=(number(zero_x)) x2=(number(zero_x)) y1="0" y2=(number(SIDE)) {}
            line.axis x1="0" x2=(number(SIDE)) y1=(number(zero_y)) y2=(number(zero_y)) {}
            @for cell in cells {
                @let (right, down) = at(cell);
                circle class=(cell.question.remedy.name()) cx=(number(right)) cy=(number(down)) r="4" {
                    title { (cell.question.recipe.attack) ", seed " (cell.question.recipe.seed) ", " (cell.question.remedy.name()) }
                }
            }
            text x="0" y=(number(SIDE + 20.0)) { (points(left)) }
            text.end x=(number(SIDE)) y=(number(SIDE + 20.0)) { (points(left + width)) }
            text.middle x=(number(SIDE / 2.0)) y=(number(SIDE + 40.0)) { "points of attack success above the clean twin's" }
            text.end x="-6" y=(number(SIDE)) { (points(bottom)) }
            text.end x="-6" y="8" { (points(bottom + height)) }
            text.middle transform=(format!("rotate(-90) translate({} -36)", -SIDE / 2.0)) { "points of clean accuracy" }
        }
    }
}

fn legend(cells: &[&Cell]) -> Markup {
    let is_there = |remedy: &Remedy| cells.iter().any(|cell| cell.question.remedy == *remedy);
    html! { @for remedy in Remedy::ALL.into_iter().filter(is_there) { span class=(format!("key {}", remedy.name())) { (remedy.name()) } " " } }
}

fn number(value: f64) -> String {
    format!("{value:.1}")
}

fn points(share: f64) -> String {
    format!("{:+.1}", 100.0 * share)
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1c2024}\
svg{max-width:36rem;width:100%;font-size:12px}.axis{stroke:#8b929a;stroke-dasharray:3 3}.end{text-anchor:end}.middle{text-anchor:middle}\
circle{fill:#5b6470;fill-opacity:.75}.ubt{fill:#0b6bcb;color:#0b6bcb}.ubt-trusted{fill:#c2410c;color:#c2410c}\
.whole-pair{fill:#15803d;color:#15803d}.fine-tune{fill:#a16207;color:#a16207}\
.clean-clip{fill:#7e22ce;color:#7e22ce}.par{fill:#be185d;color:#be185d}.retrain{fill:#0f766e;color:#0f766e}\
.key::before{content:'\\25CF ';}table{border-collapse:collapse;font-variant-numeric:tabular-nums}\
td,th{padding:.2rem .6rem;text-align:right;border-bottom:1px solid #e2e5e9;white-space:nowrap}td:nth-child(-n+3),th:nth-child(-n+3){text-align:left}\
.weak{color:#8b929a}";

#[cfg(test)]
mod tests {
    use super::super::table::tests::cells;
    use super::*;

    #[test]
    fn the_page_shows_each_learned_victim_once() {
        let cells = cells();
        let page = page(&cells.iter().collect::<Vec<_>>()).into_string();
        assert_eq!(page.matches("<circle").count(), 2);
        assert_eq!(page.matches("<tr").count(), 1 + 3, "the head and the cells: {page}");
        assert!(page.contains("<tr class=\"weak\">") && !page.contains("key par"), "{page}");
        assert!(page.contains("4 epochs</h2>") && !page.contains("NaN") && !page.contains("http"), "{page}");
    }

    #[test]
    fn settings_have_pictures_of_their_own_and_what_other_code_found_is_in_none() {
        let mut cells = cells();
        cells[0].method = "other".to_owned();
        cells[2].question.recipe.rate = 0.001;
        cells[2].dropped = 0;
        let page = page(&cells.iter().collect::<Vec<_>>()).into_string();
        let counts = ["<h2>", "<svg", "<circle"].map(|part| page.matches(part).count());
        assert_eq!(counts, [2, 1, 1], "one victim was learned: {page}");
        assert!(page.contains("blended") && !page.contains("badnet"), "{page}");
        assert!(page.contains("<td>-</td>"), "nothing was dropped there: {page}");
    }
}
