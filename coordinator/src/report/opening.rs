//! What a reader in a hurry sees: the verdict, why, and six numbers.

use lethe_common::earlier::{Changes, Drops, SinceEarlier};
use lethe_evidence::artifacts::{Found, HandedBack, Interval, Judged, Report, Verdict};
use maud::{Markup, html};

use super::Page;
use super::findings::named;
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
                @if let Some(since) = &report.since { p { (since_then(since)) } }
            }
            (numbers(report))
        }
    }
}

fn in_plain_words(report: &Report) -> Markup {
    let read = plural(report.samples.scored, "image–caption pair");
    html! {
        @match (report.found, report.verdict) {
            (Found::Shortcut, Verdict::Removed | Verdict::NothingFound) => {
                "Among " (read) ", about " (count(report.forget)) " teach the model " (shortcuts(report))
                ". The clean checkpoint has forgotten what they teach: of suspicious images it never trained on, "
                (percent(report.attraction_after.share)) " still follow the shortcut, where "
                (percent(report.attraction_before.share)) " did before."
            }
            (Found::Shortcut, Verdict::Rejected) => {
                "Among " (read) ", about " (count(report.forget)) " look planted and teach the model " (shortcuts(report))
                ". The checkpoint that should have forgotten it does not meet the limits of this audit: do not deploy it."
            }
            (Found::Nothing, verdict) => {
                "Lethe compared " (read) " and looked hardest at the " (count(report.suspects))
                " strangest. They do not share a shortcut" (without_a_shortcut(report, verdict))
            }
        }
    }
}

/// What is new since an earlier audit.
fn since_then(since: &SinceEarlier) -> Markup {
    html! {
        "Since " strong { (since.audit) } ": "
        @if let Some(Changes { unchanged, changed, new, gone }) = since.shards {
            (plural(u64::from(new), "new shard")) ", " (count(u64::from(changed))) " changed, " (count(u64::from(unchanged))) " as they were, "
            (count(u64::from(gone))) " gone. "
        }
        @match &since.anew {
            Some(why) => { "Every shard was scored again: " (why) ". " }
            None => { (plural(since.kept, "shard")) " kept the scores they had. " }
        }
        @match since.drops {
            Some(Drops { new, no_longer }) => { (plural(new, "pair")) " to drop that were not then, " (count(no_longer)) " that were and are not now." }
            None => { "What was to be dropped then is not known any more." }
        }
    }
}

fn without_a_shortcut(report: &Report, verdict: Verdict) -> &'static str {
    match (report.handed_back, verdict) {
        (HandedBack::Given, _) => ": keep the checkpoint you have.",
        (HandedBack::Trained, Verdict::Rejected) => {
            ". The checkpoint that was fine-tuned all the same does not meet the limits of this audit: do not deploy it."
        }
        (HandedBack::Trained, Verdict::Removed | Verdict::NothingFound) => {
            ". The clean checkpoint was fine-tuned on safe pairs all the same, as the spec asks: such a remedy does not rest on \
             what is found, and nobody knows whether there was anything for it to remove."
        }
    }
}

/// Each with its samples, where there are several.
fn shortcuts(report: &Report) -> String {
    let all: Vec<&Judged> = report.shortcuts().collect();
    match all.as_slice() {
        [] => "a shortcut".to_owned(),
        [one] => format!("a shortcut towards {}", named(&one.cluster)),
        several => {
            let each = several
                .iter()
                .map(|judged| format!("{} to {}", plural(judged.cluster.members, "sample"), named(&judged.cluster)));
            format!("{} shortcuts: {}", several.len(), each.collect::<Vec<_>>().join(", "))
        }
    }
}

fn numbers(report: &Report) -> Markup {
    html! {
        dl.numbers {
            @if report.found == Found::Shortcut {
                (number(handed_back(report, report.attraction_before, report.attraction_after), "held-out suspicious images that follow the shortcut"))
            }
            (number(handed_back(report, report.retrieval_before, report.retrieval_after), "held-out safe images that find their caption"))
            (number(html! { (count(to_drop(report))) }, "pairs to forget and to drop"))
            (number(html! { (count(report.suspects)) }, "suspects in the first pass"))
            (number(html! { (count(report.samples.scored)) }, &format!("pairs scored in {}", plural(report.shards, "shard"))))
            (number(html! { (count(report.samples.failed)) }, "samples that could not be read"))
        }
    }
}

fn to_drop(report: &Report) -> u64 {
    match report.found {
        Found::Shortcut => report.forget,
        Found::Nothing => 0,
    }
}

fn number(value: Markup, label: &str) -> Markup {
    html! { div { dt { (label) } dd.figure-number { (value) } } }
}

/// A share of the checkpoint that was given, and of the one that is handed back where that is another.
fn handed_back(report: &Report, before: Interval, after: Interval) -> Markup {
    match report.handed_back {
        HandedBack::Trained => html! { (percent(before.share)) span.arrow { "→" } (percent(after.share)) },
        HandedBack::Given => html! { (percent(before.share)) },
    }
}
