//! Keeping a seat: the lease is kept alive, and one that expired unseen is taken anew in the same term.
//!
//! It must never take an etcd that is away for a loss: only another leader, seen, is one.

use std::time::Duration;

use etcd_client::{Client, Compare, CompareOp, Error};
use lethe_common::ids::Term;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::EtcdStore;
use super::campaign::Seat;
use crate::store::own::ELECTED;
use crate::store::{Leader, StoreError};

/// Beats within one ttl.
const BEATS_A_TTL: u32 = 3;

/// A leader and the lease that its key hangs on.
#[derive(Debug, Clone)]
pub(in crate::store) struct Claim {
    pub leader: Leader,
    pub lease: i64,
}

impl Claim {
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(&self.leader).expect("a text and a number are JSON")
    }
}

/// The seat of one reign. Dropping it leaves the seat to expire.
#[derive(Debug)]
pub(in crate::store) struct Lease {
    term: Term,
    lost: watch::Receiver<Option<String>>,
    resign: Option<oneshot::Sender<()>>,
    keeper: JoinHandle<()>,
}

impl Lease {
    pub(super) fn keep(store: EtcdStore, claim: Claim, ttl: Duration) -> Self {
        let term = claim.leader.term;
        let (tell, lost) = watch::channel(None);
        let (resign, resigned) = oneshot::channel();
        let keeper = Keeper { store, claim, ttl, away: false };
        Self { term, lost, resign: Some(resign), keeper: tokio::spawn(keeper.run(tell, resigned)) }
    }

    pub fn term(&self) -> Term {
        self.term
    }

    /// Safe to cancel.
    pub async fn lost(&mut self) -> String {
        match self.lost.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_gone) => "the keeper of the seat ended".to_owned(),
        }
    }

    pub async fn resign(mut self) {
        if let Some(resign) = self.resign.take() {
            resign.send(()).ok(); // a keeper that ended has no seat
        }
        drop((&mut self.keeper).await); // its panic is told by its log
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

struct Keeper {
    store: EtcdStore,
    claim: Claim,
    ttl: Duration,
    /// Whether the last beat found no etcd, so that it is told once.
    away: bool,
}

/// How a beat found the seat.
enum Beat {
    Ours,
    /// The key is gone, and nobody else was elected.
    Empty,
    Lost(String),
}

impl Keeper {
    async fn run(mut self, tell: watch::Sender<Option<String>>, mut resigned: oneshot::Receiver<()>) {
        let mut beats = interval(self.ttl / BEATS_A_TTL);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Ok(()) = &mut resigned => return self.store.revoke(self.claim.lease, self.ttl).await,
                _ = beats.tick() => {}
            }
            match self.beat().await {
                Ok(Some(reason)) => {
                    tell.send_replace(Some(reason));
                    return;
                }
                Ok(None) => self.note(None),
                Err(error) => self.note(Some(error)),
            }
        }
    }

    fn note(&mut self, error: Option<StoreError>) {
        let term = self.claim.leader.term.0;
        match error {
            Some(error) if !self.away => {
                warn!(term, %error, "the seat cannot be kept now; nobody else can take it either")
            }
            None if self.away => info!(term, "the seat is kept again"),
            Some(_) | None => return,
        }
        self.away = !self.away;
    }

    /// Why the seat is lost, if it is.
    async fn beat(&mut self) -> Result<Option<String>, StoreError> {
        self.keep_alive().await?;
        match self.judge(self.store.seat(self.patience()).await?) {
            Beat::Ours => Ok(None),
            Beat::Lost(reason) => Ok(Some(reason)),
            Beat::Empty => self.reseat().await.map(|()| None),
        }
    }

    fn patience(&self) -> Duration {
        self.ttl / BEATS_A_TTL
    }

    /// An expired lease is no error: the look at the seat that follows finds it empty.
    async fn keep_alive(&self) -> Result<(), StoreError> {
        let lease = self.claim.lease;
        let ask = |client: Client| async move {
            match client.lease_client().keep_alive(lease).await {
                Ok(_) | Err(Error::LeaseKeepAliveError(_)) => Ok(()),
                Err(error) => Err(error),
            }
        };
        self.store.members.call("keep a lease alive", self.patience(), ask).await
    }

    fn judge(&self, seat: Seat) -> Beat {
        let own = self.claim.leader.term;
        match (seat.leader, seat.fence) {
            (Some(leader), _) if leader.term == own => Beat::Ours,
            (Some(leader), _) => Beat::Lost(format!("{} leads in term {}", leader.address, leader.term)),
            (None, Some(fence)) if fence.term > own => Beat::Lost(format!("term {} was begun", fence.term)),
            (None, Some(_) | None) => Beat::Empty,
        }
    }

    /// Takes the empty seat anew, unless somebody was elected since. A failed try is the next beat's.
    async fn reseat(&mut self) -> Result<(), StoreError> {
        let lease = self.store.grant(self.ttl, self.patience()).await?;
        // Whatever becomes of the try: the seat may hang on this lease from here on.
        self.claim.lease = lease;
        let last_elected = Compare::value(self.store.key(ELECTED), CompareOp::Equal, self.claim.encode());
        if self.store.take(&self.claim, last_elected, &[], self.patience()).await? {
            info!(term = self.claim.leader.term.0, "the lease had expired; the seat is taken anew");
        } else {
            self.store.revoke(lease, self.patience()).await;
        }
        Ok(())
    }
}
