//! torchrun's side of the comparison, measured by its own script.

use std::path::Path;

use serde_json::Value;

use super::super::ray::ask;
use super::drill::VOCABULARY;

pub async fn measure(script: &Path, losses: u32) -> anyhow::Result<Value> {
    ask(script, &["--losses", &losses.to_string(), "--words", &VOCABULARY.to_string()], "torchrun").await
}

/// The middle of its recoveries, in seconds.
pub fn median_s(found: &Value) -> Option<f64> {
    found.get("median_s")?.as_f64()
}
