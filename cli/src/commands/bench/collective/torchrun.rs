//! torchrun's side of the comparison, measured by its own script.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::process::Command;

pub async fn measure(script: &Path, losses: u32) -> anyhow::Result<Value> {
    let output = Command::new(script)
        .args(["--losses", &losses.to_string()])
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| {
            format!("cannot start {}; name it with --torchrun, or leave it out with --no-torchrun", script.display())
        })?;
    if !output.status.success() {
        bail!("{} ended with {}", script.display(), output.status);
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("{} printed no JSON", script.display()))
}

/// The middle of its recoveries, in seconds.
pub fn median_s(found: &Value) -> Option<f64> {
    found.get("median_s")?.as_f64()
}
