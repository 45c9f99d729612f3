//! What the benchmark found, for people and for programs.
//!
//! It must never print a ratio without what was divided by what.

use serde_json::{Value, json};

use super::super::control_plane::setting;
use super::{Results, torchrun};

const DEFINITIONS: [(&str, &str); 2] = [
    (
        "recovery_s",
        "from kill -9 of one executor to the first step of a later generation, less one undisturbed step; the median",
    ),
    ("ratio_to_torchrun_recovery", "recovery_s divided by the same of torchrun's elastic restart of the same job"),
];

fn ratio(results: &Results) -> Option<f64> {
    Some(results.recovery.as_ref()?.median_s / torchrun::median_s(results.torchrun.as_ref()?)?)
}

pub fn json(results: &Results) -> Value {
    json!({
        "recovery_s": results.recovery.as_ref().map(|recovery| recovery.median_s),
        "ratio_to_torchrun_recovery": ratio(results),
        "recovery": results.recovery,
        "torchrun": results.torchrun,
        "skipped": results.skipped,
        "setting": setting(),
        "definitions": DEFINITIONS.iter().copied().collect::<std::collections::BTreeMap<_, _>>(),
    })
}

pub fn text(results: &Results) -> String {
    let mut lines = Vec::new();
    if let Some(found) = &results.recovery {
        lines.push(format!(
            "recovery, 1 of {} ranks lost    {:.2} s, the median of {} ({:.2} to {:.2}); a step takes {:.2} s",
            found.ranks, found.median_s, found.losses, found.least_s, found.most_s, found.step_s
        ));
    }
    if let Some(theirs) = results.torchrun.as_ref().and_then(torchrun::median_s) {
        lines.push(format!("torchrun's restart              {theirs:.2} s"));
    }
    if let Some(ratio) = ratio(results) {
        lines.push(format!("against torchrun                {ratio:.2} x"));
    }
    lines.extend(results.skipped.iter().map(|(what, why)| format!("not measured: {what}: {why}")));
    lines.extend(DEFINITIONS.iter().map(|(name, what)| format!("  {name}: {what}")));
    lines.join("\n") + "\n"
}
