//! One reign after the other: campaign, lead until deposed, campaign again.
//!
//! It must never let two drivers of this process run at once, nor one run on after its reign.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tracing::{info, warn};

use crate::api::{Lead, Standing};
use crate::driver::{Driver, DriverConfig, DriverError};
use crate::rendezvous::Rendezvous;
use crate::server::ServerError;
use crate::store::{Candidate, Reign, Store, StoreError};
use crate::upkeep;

/// Before a coordinator that could not read its store campaigns again.
const PAUSE: Duration = Duration::from_millis(500);

/// What a driver gets to see the batch on its way into the store.
const STOP_DEADLINE: Duration = Duration::from_secs(2);

/// What every reign is made of.
pub(crate) struct Reigns {
    pub store: Store,
    pub candidate: Candidate,
    pub driver: DriverConfig,
}

/// How a reign ended.
enum End {
    Shutdown,
    /// Another leads.
    Deposed(String),
    Failed(ServerError),
}

/// Campaigns and leads until the shutdown.
///
/// # Errors
/// What campaigning again would not mend.
pub(crate) async fn rule(
    reigns: &Reigns,
    standing: &watch::Sender<Standing>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServerError> {
    let mut shutdown = pin!(shutdown);
    loop {
        let mut reign = tokio::select! {
            elected = reigns.campaign(standing) => elected?,
            () = &mut shutdown => {
                standing.send_replace(Standing::Stopping);
                return Ok(());
            }
        };
        let end = reigns.lead(&mut reign, standing, &mut shutdown).await;
        reigns.note_end(&end);
        standing.send_replace(match end {
            End::Shutdown => Standing::Stopping,
            End::Deposed(_) | End::Failed(_) => Standing::Standby { leader: None },
        });
        match end {
            End::Shutdown => {
                info!("shutting down");
                reign.resign().await;
                return Ok(());
            }
            End::Deposed(reason) => warn!(reason, "another leads; standing by"),
            End::Failed(error) if is_passing(&error) => {
                warn!(%error, "cannot lead now; trying again");
                reign.resign().await;
                sleep(PAUSE).await;
            }
            End::Failed(error) => {
                reign.resign().await;
                return Err(error);
            }
        }
    }
}

/// Whether another try, perhaps by another, may fare better.
fn is_passing(error: &ServerError) -> bool {
    matches!(error, ServerError::Lead(DriverError::Store(StoreError::Deadline { .. })))
}

impl Reigns {
    /// Waits for the election; meanwhile callers are told who leads.
    async fn campaign(&self, standing: &watch::Sender<Standing>) -> Result<Reign, StoreError> {
        let mut looks = interval(self.candidate.ttl / 4);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut campaign = pin!(self.store.campaign(&self.candidate));
        loop {
            tokio::select! {
                elected = &mut campaign => return elected,
                _ = looks.tick() => {
                    let looked = self.store.leader().await;
                    if looked.is_ok() {
                        self.driver.metrics.heard_store();
                    }
                    let leader = looked.ok().flatten().map(|leader| leader.address);
                    let leader = leader.filter(|address| *address != self.candidate.address); // about to lead
                    standing.send_replace(Standing::Standby { leader });
                }
            }
        }
    }

    fn note_end(&self, end: &End) {
        let metrics = &self.driver.metrics;
        metrics.leads_no_more();
        match end {
            End::Shutdown => {}
            End::Deposed(_) => metrics.lost_reign("deposed"),
            End::Failed(_) => metrics.lost_reign("failed"),
        }
    }

    async fn lead(
        &self,
        reign: &mut Reign,
        standing: &watch::Sender<Standing>,
        shutdown: &mut (impl Future<Output = ()> + Unpin),
    ) -> End {
        let (rendezvous, elected) = (Arc::new(Rendezvous::default()), Instant::now());
        let driver = Driver::new(self.store.clone(), reign.term, Arc::clone(&rendezvous), self.driver.clone());
        let driver = tokio::select! {
            driver = driver => match driver {
                Ok(driver) => driver,
                Err(error) => return End::Failed(error.into()),
            },
            reason = reign.lost() => return End::Deposed(reason),
            () = &mut *shutdown => return End::Shutdown,
        };
        let (handle, queue) = Driver::queue();
        let blobs = self.driver.blobs.clone();
        let meeting = Arc::clone(&rendezvous);
        let lead = Lead { driver: handle.clone(), rendezvous, blobs: blobs.clone(), term: reign.term.0 };
        self.driver.metrics.leads(reign.term.0, elected.elapsed());
        standing.send_replace(Standing::Leading(lead));
        let mut driver = tokio::spawn(driver.run(queue));
        let upkeep =
            tokio::spawn(upkeep::keep(self.store.clone(), blobs, (handle.clone(), self.driver.metrics.clone())));
        let end = tokio::select! {
            ended = &mut driver => match ended {
                Ok(Ok(())) => End::Shutdown,
                Ok(Err(DriverError::Deposed { own, current })) => End::Deposed(format!("term {current} follows {own}")),
                Ok(Err(error)) => End::Failed(error.into()),
                Err(panic) => End::Failed(ServerError::Panic(panic)),
            },
            reason = reign.lost() => End::Deposed(reason),
            () = &mut *shutdown => End::Shutdown,
        };
        upkeep.abort();
        drop(upkeep.await); // it holds the store
        if matches!(end, End::Shutdown) && !driver.is_finished() {
            let stopped = async {
                drop(handle.stop().await); // fails where it has just ended
                drop((&mut driver).await);
            };
            drop(timeout(STOP_DEADLINE, stopped).await);
        }
        driver.abort(); // whatever it still held was not durable, and its sessions end with it
        if !driver.is_finished() {
            drop(driver.await); // not before it is gone; the end of one that ended by itself was taken above
        }
        meeting.clear(); // ranks that wait there are told
        end
    }
}
