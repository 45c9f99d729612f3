//! What a reader in a hurry sees: the verdict, why, and six numbers.

use lethe_evidence::artifacts::{Interval, Report, Verdict};
use maud::{Markup, html};

use super::Page;
use super::words::{count, percent, plural};

pub(super) fn opening(page: &Page<'_>) -> Markup {
    let report = page.report;
    html! {
        header {
            div class=(format!("verdict {}", report.verdict.as_str())) {
                p.over { "Audit " (report.audit) }
                h1 { (report.headline) }
                p.lead { (in_plain_words(report)) }
                @match report.reasons.len() {
                    0 => {}
                    1 => { p { (report.reasons[0]) } }
                    _ => { ul { @for reason in &report.reasons { li { (reason) } } } }
                }
            }
            (numbers(report))
        }
    }
}

fn in_plain_words(report: &Report) -> Markup {
    let read = plural(report.samples.scored, "image–caption pair");
    html! {
        @match report.verdict {
            Verdict::Removed => {
                "Among " (read) ", about " (count(report.forget)) " teach the model a shortcut" (toward(report))
                ". The clean checkpoint has forgotten it: of suspicious images it never trained on, "
                (percent(report.attraction_after.share)) " still follow the shortcut, where "
                (percent(report.attraction_before.share)) " did before."
            }
            Verdict::NothingFound => {
                "Lethe compared " (read) " and looked hardest at the " (count(report.suspects))
                " strangest. They do not share a shortcut: keep the checkpoint you have."
            }
            Verdict::Rejected => {
                "Among " (read) ", about " (count(report.forget)) " look like a planted shortcut" (toward(report))
                ". The checkpoint that should have forgotten it does not meet the limits of this audit: do not deploy it."
            }
        }
    }
}

fn toward(report: &Report) -> Markup {
    let strongest: Vec<String> = report.words.iter().take(3).map(|word| format!("“{}”", word.word)).collect();
    html! { @if !strongest.is_empty() { " towards " (strongest.join(", ")) } }
}

fn numbers(report: &Report) -> Markup {
    html! {
        dl.numbers {
            (number(handed_back(report, report.attraction_before, report.attraction_after), "held-out suspicious images that follow the shortcut"))
            (number(handed_back(report, report.retrieval_before, report.retrieval_after), "held-out safe images that find their caption"))
            (number(html! { (count(to_drop(report))) }, "pairs to forget and to drop"))
            (number(html! { (count(report.suspects)) }, "suspects in the first pass"))
            (number(html! { (count(report.samples.scored)) }, &format!("pairs scored in {}", plural(report.shards, "shard"))))
            (number(html! { (count(report.samples.failed)) }, "samples that could not be read"))
        }
    }
}

fn to_drop(report: &Report) -> u64 {
    match report.verdict {
        Verdict::Removed | Verdict::Rejected => report.forget,
        Verdict::NothingFound => 0,
    }
}

fn number(value: Markup, label: &str) -> Markup {
    html! { div { dt { (label) } dd.figure-number { (value) } } }
}

/// A share of the checkpoint that was given, and of the one that is handed back where that is another.
fn handed_back(report: &Report, before: Interval, after: Interval) -> Markup {
    match report.verdict {
        Verdict::Removed | Verdict::Rejected => {
            html! { (percent(before.share)) span.arrow { "→" } (percent(after.share)) }
        }
        Verdict::NothingFound => html! { (percent(before.share)) },
    }
}
