//! The spec that the audit ran, beside one that it is said to have run.

use std::collections::BTreeSet;
use std::path::Path;

use lethe_common::record::SPEC;
use lethe_common::spec::{self, Spec};
use serde_json::Value;

use super::finding::{Finding, State};

/// None where no spec is given: the bytes of the result's own are compared as every file's are.
pub fn look(result: &Path, given: Option<&Path>) -> anyhow::Result<Option<Finding>> {
    let Some(given) = given else { return Ok(None) };
    let (what, given) = (format!("spec {}", given.display()), spec::load(given)?);
    let finding = match read(result) {
        Err(problem) => Finding::new(what, State::NotChecked, problem),
        Ok(ran) => match differing(&ran, &given)?[..] {
            [] => Finding::new(what, State::Ok, "what the audit ran"),
            ref sections => {
                Finding::new(what, State::Changed, format!("the audit ran another {}", sections.join(", ")))
            }
        },
    };
    Ok(Some(finding.asked()))
}

/// The spec as the audit ran it, or why it cannot be read.
pub fn read(result: &Path) -> Result<Spec, String> {
    let bytes = std::fs::read(result.join(SPEC)).map_err(|e| format!("{SPEC}: {e}"))?;
    serde_json::from_slice(&bytes).map_err(|e| format!("{SPEC} is no spec that this build reads: {e}"))
}

fn differing(ran: &Spec, given: &Spec) -> anyhow::Result<Vec<String>> {
    let (ran, given) = (serde_json::to_value(ran)?, serde_json::to_value(given)?);
    let sections = [&ran, &given].into_iter().filter_map(Value::as_object).flat_map(|spec| spec.keys().cloned());
    let all: BTreeSet<String> = sections.collect();
    Ok(all.into_iter().filter(|section| ran.get(section) != given.get(section)).collect())
}
