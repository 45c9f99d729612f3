//! What a leader does now and then: the store gives up old revisions, and blobs that nobody points at go.
//!
//! It must never delete what the engine, asked through the driver, does not disown.

use std::time::{Duration, SystemTime};

use lethe_common::blob::BlobStore;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::{info, warn};

use crate::driver::DriverHandle;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::sweep::sweep;

const EVERY: Duration = Duration::from_secs(300);
/// A younger blob may belong to a commit on its way.
const SWEPT_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Never ends by itself.
pub(crate) async fn keep(store: Store, blobs: BlobStore, (driver, metrics): (DriverHandle, Metrics)) {
    let mut rounds = interval_at(Instant::now() + EVERY, EVERY);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        match store.maintain().await {
            Ok(maintained) => {
                metrics.maintained(&maintained);
                info!(?maintained, "store");
            }
            Err(error) => {
                // Nor is anything swept: who cannot reach the store may have been deposed long ago.
                warn!(%error, "the store's upkeep failed; trying again later");
                continue;
            }
        }
        let judge = async |paths| driver.points_at(paths).await.ok();
        match sweep(&blobs, SystemTime::now() - SWEPT_AGE, judge).await {
            Ok(swept) => info!(?swept, "blobs"),
            Err(error) => warn!(%error, "the blobs could not be swept; trying again later"),
        }
    }
}
