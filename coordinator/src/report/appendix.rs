//! What to do next, how the audit went, and everything needed to repeat it.

use lethe_evidence::artifacts::{Found, HandedBack, Training, Verdict};
use maud::{Markup, html};

use super::Page;
use super::figures::{Bar, bars};
use super::words::{count, duration, plural, size};

/// Shards listed with their digests, at most.
const MAX_SHARDS: usize = 200;

const DROP_EXAMPLE: &str = "\
drop = set(open(\"drop-list.txt\").read().splitlines())
keep = dataset.select(lambda sample: key_of(sample) not in drop)";

const QUERY_EXAMPLE: &str = "\
duckdb -c \"select rank, key, suspicion, caption
           from 'suspects.parquet' where drop order by rank\"";

pub(super) fn next_steps(page: &Page<'_>) -> Markup {
    html! {
        section {
            h2 { "What to do next" }
            @match (page.report.found, page.report.handed_back, page.report.verdict) {
                (Found::Shortcut, _, Verdict::Removed | Verdict::NothingFound) => {
                    p { "Deploy " code { "clean.safetensors" } ": it has the names, shapes and types of the checkpoint you gave. "
                        "Drop the listed samples before you train on these shards again, or the shortcut will come back." }
                }
                (Found::Shortcut, _, Verdict::Rejected) => {
                    p { "Do not deploy " code { "clean.safetensors" } "; it is kept for inspection. Drop the listed samples, then raise "
                        code { "unlearn.gang.steps" } " or retrain without them, and audit again." }
                }
                (Found::Nothing, HandedBack::Given, _) => {
                    p { "Nothing has to be done: " code { "clean.safetensors" } " is the checkpoint you gave, and the drop list is empty. The files below show what was looked at." }
                }
                (Found::Nothing, HandedBack::Trained, Verdict::Removed | Verdict::NothingFound) => {
                    p { code { "clean.safetensors" } " is the checkpoint you gave after fine-tuning on safe pairs, and the drop list is empty. "
                        "The audit cannot say whether there was a backdoor that this removed." }
                }
                (Found::Nothing, HandedBack::Trained, Verdict::Rejected) => {
                    p { "Do not deploy " code { "clean.safetensors" } ": fine-tuning cost more than this audit allows. Lower "
                        code { "unlearn.gang.learning_rate" } ", and audit again. The drop list is empty." }
                }
            }
            p { code { "drop-list.txt" } " holds one key a line: the shard’s name and the sample’s name in it." }
            pre { (DROP_EXAMPLE) }
            p { code { "suspects.parquet" } " says more of each suspect, with a content hash that is the same in every data format; "
                code { "scores.parquet" } " ranks every pair." }
            pre { (QUERY_EXAMPLE) }
        }
    }
}

pub(super) fn course(page: &Page<'_>) -> Markup {
    let phases = &page.report.phases;
    let total: f64 = phases.iter().map(|phase| phase.seconds).sum();
    let retries: u64 = phases.iter().map(|phase| phase.retries).sum();
    let rows: Vec<Bar> = phases
        .iter()
        .map(|phase| Bar { label: phase.name.clone(), value: phase.seconds, text: duration(phase.seconds), hot: false })
        .collect();
    html! {
        section {
            h2 { "How the audit went" }
            p.soft {
                (duration(total)) " over " (plural(rows.len() as u64, "phase"))
                @if retries > 0 { ", with " (plural(retries, "retry").replace("retrys", "retries")) }
                ". " (count(page.report.samples.read)) " samples read from " (size(page.report.data_bytes)) "."
            }
            @if !rows.is_empty() { (bars(&rows)) }
            @for (name, training) in page.trainings.iter().filter(|(_, training)| training.steps > 0) { (trained(name, training)) }
        }
    }
}

fn trained(name: &str, training: &Training) -> Markup {
    let mut losses = training.losses.iter().filter(|loss| loss.is_finite());
    let ends = losses.next().map(|first| (first, losses.next_back().unwrap_or(first)));
    html! {
        p.small.soft {
            "Training " code { (name) } ": " (plural(training.steps, "step")) " on " (plural(u64::from(training.world_size), "worker"))
            @if let Some((first, last)) = ends { ", loss " (format!("{first:.3}")) " → " (format!("{last:.3}")) }
            "."
        }
    }
}

pub(super) fn small_print(page: &Page<'_>) -> Markup {
    html! {
        section {
            h2 { "Small print" }
            (bad_samples(page))
            details { summary { "The spec of this audit" } pre { (spec_text(page)) } }
            (inputs(page))
        }
    }
}

fn bad_samples(page: &Page<'_>) -> Markup {
    let bad = &page.report.bad;
    html! {
        @if bad.count > 0 {
            details {
                summary { (plural(bad.count, "sample")) " could not be read" }
                div.scroll {
                    table {
                        tr { th { "sample" } th { "reason" } }
                        @for sample in &bad.listed { tr { td { code { (sample.key) } } td { (sample.reason) } } }
                    }
                }
                @if bad.count > bad.listed.len() as u64 {
                    p.small.soft { "and " (count(bad.count - bad.listed.len() as u64)) " more" }
                }
            }
        }
    }
}

/// The spec as JSON, which is how it was stored with the audit.
fn spec_text(page: &Page<'_>) -> String {
    serde_json::to_string_pretty(page.spec).unwrap_or_else(|e| format!("the spec cannot be shown: {e}"))
}

fn inputs(page: &Page<'_>) -> Markup {
    let shards = &page.shards.shards;
    html! {
        details {
            summary { (plural(shards.len() as u64, "shard")) " with their digests or versions" }
            div.scroll {
                table {
                    tr { th { "shard" } th { "size" } th { "pinned by" } th { } }
                    @for shard in shards.iter().take(MAX_SHARDS) {
                        @let (what, value) = shard.pin.shown();
                        tr { td { (shard.name) } td { (size(shard.size_bytes)) } td { (what) } td { code { (value) } } }
                    }
                }
            }
            @if shards.len() > MAX_SHARDS { p.small.soft { "and " (count((shards.len() - MAX_SHARDS) as u64)) " more" } }
        }
    }
}
