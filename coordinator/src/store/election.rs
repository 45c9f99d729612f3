//! Who leads: a candidate campaigns until it is elected, and reigns until another is.
//!
//! It must never take silence for a loss: an etcd that is away elects nobody else, and the fence keeps
//! a deposed leader from writing whatever it believes.

use std::time::Duration;

use lethe_common::ids::Term;
use serde::{Deserialize, Serialize};

use super::embedded::EmbeddedStore;
use super::etcd::Lease;
use super::{Store, StoreError};

/// Who wants to lead. Every wait of the election derives from `ttl`.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// What workers dial.
    pub address: String,
    /// How long after a leader's silence another may be elected; etcd counts whole seconds.
    pub ttl: Duration,
}

/// Who leads, as the store has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leader {
    pub address: String,
    pub term: Term,
}

/// The time of one leader. Dropping it stops its keepalive and leaves its seat to expire.
#[derive(Debug)]
pub struct Reign {
    pub term: Term,
    hold: Hold,
}

/// What keeps others from being elected.
#[derive(Debug)]
enum Hold {
    /// The lock on the file, which is held while the store is open.
    Lock(EmbeddedStore),
    Lease(Lease),
}

impl Store {
    /// Waits until elected. The embedded store elects at once, since whoever opened it is alone; a
    /// standby of etcd asks about every eighth of the ttl and never watches.
    ///
    /// # Errors
    /// What waiting does not mend: damage, or an etcd that refuses us. One that is away is waited for.
    pub async fn campaign(&self, me: &Candidate) -> Result<Reign, StoreError> {
        match self {
            Self::Embedded(store) => {
                let term = store.elect(me).await?;
                Ok(Reign { term, hold: Hold::Lock(store.clone()) })
            }
            Self::Etcd(store) => {
                let lease = store.campaign(me).await?;
                Ok(Reign { term: lease.term(), hold: Hold::Lease(lease) })
            }
        }
    }

    /// Who leads now, if anyone does.
    pub async fn leader(&self) -> Result<Option<Leader>, StoreError> {
        match self {
            Self::Embedded(store) => Ok(store.leader()),
            Self::Etcd(store) => store.leader().await,
        }
    }
}

impl Reign {
    /// Ends with the reason once another leader was seen elected. Safe to cancel.
    pub async fn lost(&mut self) -> String {
        match &mut self.hold {
            Hold::Lock(_) => std::future::pending().await,
            Hold::Lease(lease) => lease.lost().await,
        }
    }

    /// Gives the seat up at once, so that a standby need not wait for the ttl.
    pub async fn resign(self) {
        match self.hold {
            Hold::Lock(store) => store.resign(self.term),
            Hold::Lease(lease) => lease.resign().await,
        }
    }
}
