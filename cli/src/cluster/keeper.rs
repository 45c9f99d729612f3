//! Keeps one worker alive: a worker that dies is started again, a bounded number of times.
//!
//! It must never decide what becomes of the dead worker's tasks; the coordinator does.

use anyhow::anyhow;
use tokio::sync::watch;

use super::process::{Launch, Process};

/// A worker that dies more often than this has a cause that another start does not mend.
const MAX_RESTARTS: u32 = 5;

/// Runs a worker until `stopped` turns true; returns why it gave up, or that it was stopped.
pub async fn keep(launch: Launch, mut stopped: watch::Receiver<bool>) -> anyhow::Error {
    let mut last_words = String::new();
    for restart in 0..=MAX_RESTARTS {
        if restart > 0 {
            tracing::warn!("{last_words}; starting it again ({restart} of {MAX_RESTARTS})");
        }
        let mut process = match Process::start(&launch) {
            Ok(process) => process,
            Err(error) => return error,
        };
        let ended = tokio::select! {
            status = process.ended() => Some(status),
            () = until(&mut stopped) => None,
        };
        let Some(status) = ended else {
            process.stop().await;
            return anyhow!("{} was stopped", launch.name);
        };
        last_words = process.post_mortem(&status);
    }
    anyhow!("{} ended {} times; the last: {last_words}", launch.name, MAX_RESTARTS + 1)
}

/// Returns when the flag is true, or when nobody can raise it any more.
async fn until(stopped: &mut watch::Receiver<bool>) {
    drop(stopped.wait_for(|stop| *stop).await);
}
