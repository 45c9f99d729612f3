//! Simulated workers over real gRPC: they take leases, compute nothing, and commit.
//!
//! They must never slow down for the coordinator's sake: with a rate, what is due is due by the clock, and the wait
//! counts from then on, whenever the loop gets round to it.

mod dial;
mod tally;
mod window;
mod worker;

pub use tally::{Found, Waits};

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::arguments::Swarm;
use crate::exit::Ending;
use dial::Dial;
use tally::Tally;
use worker::Simulated;

const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

pub fn run(arguments: &Swarm) -> anyhow::Result<Ending> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let found = runtime.block_on(measure(arguments))?;
    println!("{}", serde_json::to_string(&found)?);
    Ok(Ending::Accepted)
}

async fn measure(arguments: &Swarm) -> anyhow::Result<tally::Found> {
    let tally = Arc::new(Tally::default());
    let dial = Arc::new(Dial::new(arguments)?);
    let (close, closing) = watch::channel(false);
    let mut workers = JoinSet::new();
    for index in 0..arguments.workers {
        let simulated = Simulated::new(index, arguments, Arc::clone(&dial), Arc::clone(&tally));
        workers.spawn(simulated.work(closing.clone()));
    }
    let window = window::watch(arguments, &tally).await?;
    close.send_replace(true);
    // Each tells what it still waits for; one that cannot is stuck in a dial, and waits for nothing.
    drop(timeout(CLOSE_DEADLINE, async { while workers.join_next().await.is_some() {} }).await);
    Ok(window.found(arguments, &tally))
}

/// Microseconds between two moments, as few bytes as there are many of them.
fn micros(from: Instant, to: Instant) -> u32 {
    u32::try_from(to.saturating_duration_since(from).as_micros()).unwrap_or(u32::MAX)
}
