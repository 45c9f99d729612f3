//! One batch on its way into the store, tried until its fate is known.
//!
//! It must never guess: a batch whose fate is unknown is committed again under the same fence, which applies it
//! once or finds it applied.

use std::time::Duration;

use lethe_common::backoff::Backoff;
use lethe_common::ids::Term;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use crate::metrics::Metrics;
use crate::store::{self, Batch, Fence, Outcome, Store, StoreError};

/// A store that is away is asked again and again; nothing is lost meanwhile.
const RETRY: Backoff = Backoff { first_ms: 50, cap_ms: 2_000 };
/// A store that stays away is spoken of this often.
const REMIND_EVERY: Duration = Duration::from_secs(10);

/// How a batch ended.
#[derive(Debug)]
pub(super) enum Saved {
    Durable,
    /// Another leads.
    Deposed {
        current: Term,
    },
    Refused(StoreError),
}

/// A batch that was handed to the store, and since when.
#[derive(Debug)]
pub(super) struct Saving {
    task: tokio::task::JoinHandle<Saved>,
    pub since: Instant,
}

impl Saving {
    pub fn start(to: (Store, Metrics), fence: Fence, batch: Batch) -> Self {
        Self { task: tokio::spawn(save(to, fence, batch)), since: Instant::now() }
    }

    /// Its end. Safe to cancel.
    pub async fn ended(&mut self) -> Saved {
        match (&mut self.task).await {
            Ok(saved) => saved,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

impl Drop for Saving {
    fn drop(&mut self) {
        self.task.abort(); // its fate no longer matters to a driver that is gone
    }
}

async fn save((store, metrics): (Store, Metrics), fence: Fence, batch: Batch) -> Saved {
    let (mut attempt, began, mut reminded) = (0, Instant::now(), Instant::now());
    loop {
        let asked = Instant::now();
        let outcome = store.commit(fence, &batch).await;
        metrics.wrote(&outcome, asked.elapsed());
        match outcome {
            Outcome::Applied => {
                if attempt > 0 {
                    info!(away_ms = began.elapsed().as_millis() as u64, "the store answers again");
                }
                return Saved::Durable;
            }
            Outcome::Conflict { current } => return Saved::Deposed { current },
            Outcome::Refused(error) => return Saved::Refused(error),
            Outcome::Unknown(error) if attempt == 0 => {
                warn!(%error, "the store did not take a batch; trying until it does, while workers go on");
            }
            Outcome::Unknown(error) if reminded.elapsed() >= REMIND_EVERY => {
                error!(%error, away_s = began.elapsed().as_secs(), "the store is still away");
                reminded = Instant::now();
            }
            Outcome::Unknown(_) => {}
        }
        sleep(RETRY.pause(attempt, store::draw())).await;
        attempt += 1;
    }
}
