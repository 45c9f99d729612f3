//! What was found, as a table and as JSON.

use serde_json::{Value, json};

use super::super::figures;
use super::honest::Waits;
use super::{Found, Row};
use crate::show::count;

/// Of what came back, in one line.
const SHOWN_ANSWERS: usize = 3;

pub fn text(found: &Found) -> String {
    let mut text = format!(
        "{:<24} {:>9}  {:>8} {:>8} {:>6}  what came back\n",
        "attack", "requests", "quiet", "attacked", "ratio"
    );
    for row in found.rows.iter().chain([&found.together]) {
        text += &line(row.attack, row.tally.requests(), (&row.quiet, &row.under_attack), &answers(row));
    }
    let waits = (&found.quiet(), &found.under_attack());
    text += &line("all", found.requests(), waits, "");
    let (peak, limit) = (found.peak_bytes >> 20, found.limit_bytes >> 20);
    let (calls, failed) = (waits.1.calls(), waits.1.failed);
    text += &format!(
        "\np99 of an honest client in ms; it made {} calls under attack, of which {failed} failed.\n\
         The coordinator took {peak} MiB at most, of {limit} that it may; {:.0} s in all.\n",
        count(calls as u64),
        found.seconds
    );
    waits.1.why.iter().for_each(|why| text += &format!("Failed: {why}\n"));
    text
}

fn line(name: &str, requests: u64, (quiet, attacked): (&Waits, &Waits), answers: &str) -> String {
    let (before, after) = (quiet.p99_ms(), attacked.p99_ms());
    let line =
        format!("{name:<24} {:>9}  {before:>8.1} {after:>8.1} {:>6.2}  {answers}", count(requests), after / before);
    format!("{}\n", line.trim_end())
}

fn answers(row: &Row) -> String {
    let mut answers: Vec<(&String, &u64)> = row.tally.0.iter().collect();
    answers.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), name.to_string()));
    let total = row.tally.requests().max(1);
    let shown = answers
        .iter()
        .take(SHOWN_ANSWERS)
        .map(|(name, count)| format!("{name} {:.0} %", 100.0 * **count as f64 / total as f64));
    shown.collect::<Vec<_>>().join(", ")
}

pub fn json(found: &Found) -> Value {
    let waits = |waits: &Waits| json!({"calls": waits.calls(), "failed": waits.failed, "why": waits.why, "median_ms": waits.median_ms(), "p99_ms": waits.p99_ms()});
    let row = |row: &Row| {
        json!({
            "attack": row.attack,
            "requests": row.tally.requests(),
            "answers": row.tally,
            "quiet": waits(&row.quiet),
            "under_attack": waits(&row.under_attack),
        })
    };
    json!({
        "attacks": found.rows.iter().chain([&found.together]).map(row).collect::<Vec<_>>(),
        "requests": found.requests(),
        "quiet": waits(&found.quiet()),
        "under_attack": waits(&found.under_attack()),
        "max_ratio": found.max_ratio,
        "peak_bytes": found.peak_bytes,
        "limit_bytes": found.limit_bytes,
        "seconds": found.seconds,
        "faults": found.faults(),
        "setting": figures::setting(),
    })
}
