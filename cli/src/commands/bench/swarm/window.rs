//! The measured part of a run: when it begins, when it ends, and the difference.
//!
//! It must never begin before every worker has joined.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::bail;
use tokio::time::{Instant, sleep, sleep_until};

use super::dial::Dial;
use super::tally::{Found, Tally, Waits};
use crate::arguments::Swarm;
use crate::commands::bench::proc::cpu_seconds;

const JOIN_DEADLINE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The counters and clocks at one moment.
struct Mark {
    at: Instant,
    counters: [u64; 7],
    own_cpu: f64,
    coordinator_cpu: f64,
}

impl Mark {
    fn take(arguments: &Swarm, tally: &Tally) -> anyhow::Result<Self> {
        let counters = [
            &tally.leases,
            &tally.lease_messages,
            &tally.commits,
            &tally.commit_requests,
            &tally.stale,
            &tally.refused,
            &tally.errors,
        ];
        Ok(Self {
            at: Instant::now(),
            counters: counters.map(|counter: &AtomicU64| counter.load(Ordering::Relaxed)),
            own_cpu: cpu_seconds(std::process::id())?,
            // A coordinator that is killed in the window has no CPU to compare.
            coordinator_cpu: arguments.pid.and_then(|pid| cpu_seconds(pid).ok()).unwrap_or_default(),
        })
    }
}

/// Both ends of the window.
pub struct Window {
    start: Mark,
    end: Mark,
}

pub async fn watch(arguments: &Swarm, tally: &Tally) -> anyhow::Result<Window> {
    joined(arguments, tally).await?;
    let commits = || tally.commits.load(Ordering::Relaxed);
    // A tenth of a small audit at most, so that enough of it is left to measure.
    let warm = arguments.until_commits / 10;
    let warmed = Instant::now() + Duration::from_secs_f64(arguments.warm_up_seconds);
    while Instant::now() < warmed && commits() < warm {
        sleep(LOOK_EVERY).await;
    }
    let start = Mark::take(arguments, tally)?;
    clear(tally);
    let end_at = start.at + Duration::from_secs_f64(arguments.seconds);
    while Instant::now() < end_at && commits() < arguments.until_commits {
        sleep_until(end_at.min(Instant::now() + LOOK_EVERY)).await;
    }
    Ok(Window { start, end: Mark::take(arguments, tally)? })
}

async fn joined(arguments: &Swarm, tally: &Tally) -> anyhow::Result<()> {
    let deadline = Instant::now() + JOIN_DEADLINE;
    while tally.joined.load(Ordering::Relaxed) < u64::from(arguments.workers) {
        if Instant::now() > deadline {
            let first = tally.first_error.lock().expect("nothing panics while it holds this").clone();
            bail!("not all of {} workers joined: {}", arguments.workers, first.unwrap_or_default());
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

fn clear(tally: &Tally) {
    for waits in [&tally.lease_waits, &tally.commit_waits] {
        waits.lock().expect("nothing panics while it holds this").clear();
    }
}

impl Window {
    /// Once every worker has told what it still waits for.
    pub fn found(&self, arguments: &Swarm, tally: &Tally) -> Found {
        let Self { start, end } = self;
        let [leases, lease_messages, commits, commit_requests, stale, refused, errors] =
            std::array::from_fn(|index| end.counters[index] - start.counters[index]);
        Found {
            workers: arguments.workers,
            connections: Dial::connections(arguments),
            slots: arguments.slots,
            seconds: (end.at - start.at).as_secs_f64(),
            leases,
            lease_messages,
            commits,
            commit_requests,
            stale,
            refused,
            errors,
            first_error: tally.first_error.lock().expect("nothing panics while it holds this").clone(),
            lease_wait: waits(&tally.lease_waits),
            commit_wait: waits(&tally.commit_waits),
            swarm_cpu_seconds: end.own_cpu - start.own_cpu,
            coordinator_cpu_seconds: end.coordinator_cpu - start.coordinator_cpu,
            first_lease_ms: tally.terms.lock().expect("nothing panics while it holds this").clone(),
        }
    }
}

fn waits(waits: &std::sync::Mutex<Vec<u32>>) -> Waits {
    Waits::of(waits.lock().expect("nothing panics while it holds this").clone())
}
