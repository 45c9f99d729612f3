//! What a leader does now and then: the store gives up old revisions, and blobs that nobody points at go.
//!
//! It must never delete what the engine, asked through the driver, does not disown.

use std::time::{Duration, SystemTime};

use lethe_common::blob::BlobStore;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tracing::{info, warn};

use crate::driver::DriverHandle;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::sweep::sweep;

const EVERY: Duration = Duration::from_secs(300);
/// To list a bucket of millions takes a while, and what may go is a day old.
const SWEEP_EVERY: Duration = Duration::from_secs(60 * 60);
/// A younger blob may belong to a commit on its way.
const SWEPT_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Never ends by itself. A store of blobs that is slow, or hangs, holds up no upkeep of the other.
pub(crate) async fn keep(store: Store, blobs: BlobStore, (driver, metrics): (DriverHandle, Metrics)) {
    let (kept, reached) = watch::channel(None);
    tokio::join!(maintained(store, metrics, kept), swept(blobs, driver, reached));
}

async fn maintained(store: Store, metrics: Metrics, kept: watch::Sender<Option<Instant>>) {
    let mut rounds = rounds(EVERY);
    loop {
        rounds.tick().await;
        match store.maintain().await {
            Ok(maintained) => {
                metrics.maintained(&maintained);
                info!(?maintained, "store");
                kept.send_replace(Some(Instant::now()));
            }
            Err(error) => warn!(%error, "the store's upkeep failed; trying again later"),
        }
    }
}

async fn swept(blobs: BlobStore, driver: DriverHandle, mut reached: watch::Receiver<Option<Instant>>) {
    let mut rounds = rounds(SWEEP_EVERY);
    loop {
        rounds.tick().await;
        // Who cannot reach the store may have been deposed long ago.
        let is_reached = |at: &Option<Instant>| at.is_some_and(|at| at.elapsed() < 2 * EVERY);
        if reached.wait_for(is_reached).await.is_err() {
            return; // it goes with the upkeep
        }
        let judge = async |paths| driver.points_at(paths).await.ok();
        match sweep(&blobs, SystemTime::now() - SWEPT_AGE, judge).await {
            Ok(swept) => info!(?swept, "blobs"),
            Err(error) => warn!(%error, "the blobs could not be swept; trying again later"),
        }
    }
}

fn rounds(every: Duration) -> Interval {
    let mut rounds = interval_at(Instant::now() + EVERY, every);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    rounds
}
