//! Ray's side of the comparison, measured by its own script in the same run.
//!
//! It must never be compared with a load that does less for each task: batches are left out of the ratio.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::process::Command;

/// Modes in which Ray chooses who runs a task, as a coordinator does.
const SCHEDULED: [&str; 3] = ["tasks", "tasks_quarter_cpu", "tasks_multi_client"];

/// One repetition of the script.
pub async fn measure(script: &Path, tasks: u32) -> anyhow::Result<Value> {
    ask(script, &["--repetitions", "1", "--tasks", &tasks.to_string()], "ray").await
}

/// What another system's script prints as JSON; `option` names the script, and `no-` before it leaves the system out.
pub async fn ask(script: &Path, arguments: &[&str], option: &str) -> anyhow::Result<Value> {
    let output = Command::new(script)
        .args(arguments)
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| {
            format!("cannot start {}; name it with --{option}, or leave it out with --no-{option}", script.display())
        })?;
    if !output.status.success() {
        bail!("{} ended with {}", script.display(), output.status);
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("{} printed no JSON", script.display()))
}

/// Tasks a second of the best mode in which Ray schedules.
pub fn best_scheduled(found: &Value) -> Option<f64> {
    SCHEDULED.iter().filter_map(|mode| rate(found, mode)).reduce(f64::max)
}

/// Calls a second of actors that the driver chose itself.
pub fn actor_calls(found: &Value) -> Option<f64> {
    rate(found, "actor_calls")
}

fn rate(found: &Value, mode: &str) -> Option<f64> {
    found["modes"][mode]["tasks_per_s"].as_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_no_part_of_the_comparison() {
        let mode = |rate: f64| serde_json::json!({"tasks_per_s": rate});
        let modes = serde_json::json!({
            "tasks": mode(900.0), "tasks_quarter_cpu": mode(700.0), "actor_calls": mode(2_000.0), "batched": mode(9e4),
        });
        let found = serde_json::json!({"modes": modes});
        assert_eq!((best_scheduled(&found), actor_calls(&found)), (Some(900.0), Some(2_000.0)));
        assert_eq!(best_scheduled(&serde_json::json!({})), None);
    }
}
