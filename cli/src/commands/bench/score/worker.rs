//! The worker's own measurement of its stages, in a process of its own.

use std::process::Stdio;

use anyhow::{Context, bail};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::process::Command;

use crate::cluster::sibling;

/// One thread computes and one decodes, whatever the machine has.
const THREADS: [(&str, &str); 2] = [("LETHE_THREADS", "1"), ("LETHE_DECODERS", "1")];

/// What `lethe-worker` answers to a request.
pub async fn measure<T: DeserializeOwned>(request: &Value) -> anyhow::Result<T> {
    let mut command = Command::new(sibling("lethe-worker")?);
    command.args(["--measure", &request.to_string()]).envs(THREADS).stderr(Stdio::inherit()).kill_on_drop(true);
    let output = command.output().await.context("cannot start lethe-worker")?;
    if !output.status.success() {
        bail!("lethe-worker --measure ended with {}", output.status);
    }
    serde_json::from_slice(&output.stdout).context("lethe-worker printed another JSON than was asked for")
}
