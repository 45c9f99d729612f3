//! Being elected: one transaction takes the empty seat and begins the next term.
//!
//! It must never take a seat that another holds, nor begin a term twice.

use std::time::Duration;

use etcd_client::{Client, Compare, CompareOp, PutOptions, Txn, TxnOp, TxnResponse};
use lethe_common::ids::Term;
use tokio::time::sleep;
use tracing::{info, warn};

use super::keeper::{Claim, Lease};
use super::{EtcdStore, found};
use crate::store::own::{ELECTED, LEADER, TERM};
use crate::store::{Candidate, Fence, Leader, StoreError, draw};

/// Asks of a standby within one ttl.
const ASKS_A_TTL: u32 = 8;

/// Who leads and where the fence is, as of one moment.
pub(super) struct Seat {
    pub leader: Option<Leader>,
    pub fence: Option<Fence>,
}

impl EtcdStore {
    pub(in crate::store) async fn leader(&self) -> Result<Option<Leader>, StoreError> {
        Ok(self.seat(super::DEADLINE).await?.leader)
    }

    pub(in crate::store) async fn campaign(&self, me: &Candidate) -> Result<Lease, StoreError> {
        loop {
            match self.try_seat(me).await {
                Ok(Some(claim)) => {
                    info!(term = claim.leader.term.0, address = me.address, "elected");
                    return Ok(Lease::keep(self.clone(), claim, me.ttl));
                }
                Ok(None) => {}
                Err(
                    error @ (StoreError::Deadline { .. } | StoreError::NoSpace { .. } | StoreError::Expired { .. }),
                ) => {
                    warn!(%error, "the election waits");
                }
                Err(error) => return Err(error),
            }
            sleep((me.ttl / ASKS_A_TTL).mul_f64(0.5 + draw())).await;
        }
    }

    /// Takes the seat if it is empty.
    async fn try_seat(&self, me: &Candidate) -> Result<Option<Claim>, StoreError> {
        let Seat { leader, fence } = self.seat(me.ttl).await?;
        if leader.is_some() {
            return Ok(None);
        }
        let term = Term(fence.map_or(0, |fence| fence.term.0) + 1);
        let lease = self.grant(me.ttl, me.ttl).await?;
        let claim = Claim { leader: Leader { address: me.address.clone(), term }, lease };
        let unchanged = match fence {
            Some(fence) => Compare::value(self.key(TERM), CompareOp::Equal, fence.encode()),
            None => Compare::create_revision(self.key(TERM), CompareOp::Equal, 0),
        };
        let begin = [
            TxnOp::put(self.key(TERM), Fence { term, batch: 0 }.encode(), None),
            TxnOp::put(self.key(ELECTED), claim.encode(), None),
        ];
        let taken = self.take(&claim, unchanged, &begin, me.ttl).await;
        if !matches!(taken, Ok(true)) {
            self.revoke(lease, me.ttl).await;
        }
        Ok(taken?.then_some(claim))
    }

    /// Puts the leader's key with the claim's lease, if there is none and `condition` holds.
    pub(super) async fn take(
        &self,
        claim: &Claim,
        condition: Compare,
        also: &[TxnOp],
        deadline: Duration,
    ) -> Result<bool, StoreError> {
        let leader = self.key(LEADER);
        let seated = TxnOp::put(leader.as_str(), claim.encode(), Some(PutOptions::new().with_lease(claim.lease)));
        let txn = Txn::new()
            .when([Compare::create_revision(leader.as_str(), CompareOp::Equal, 0), condition])
            .and_then([std::slice::from_ref(&seated), also].concat())
            .or_else([TxnOp::get(leader, None)]);
        let answer = self.write("seat a leader", deadline, txn).await?;
        // The answer of an earlier try may be lost: then the key is there, with our lease.
        Ok(answer.succeeded() || holder(&answer) == Some(claim.lease))
    }

    pub(super) async fn seat(&self, deadline: Duration) -> Result<Seat, StoreError> {
        let gets = [TxnOp::get(self.key(LEADER), None), TxnOp::get(self.key(TERM), None)];
        let read = |client: Client| {
            let txn = Txn::new().and_then(gets.clone());
            async move { client.kv_client().txn(txn).await }
        };
        let answer = self.members.call("tell its leader", deadline, read).await?;
        let value = |index| Some(found(&answer, index)?.kvs().first()?.value().to_vec());
        let leader = value(0).map(|value| decode(&value)).transpose()?;
        let fence = value(1).as_deref().map(Fence::decode).transpose()?;
        Ok(Seat { leader, fence })
    }

    /// A lease of at least `ttl`.
    pub(super) async fn grant(&self, ttl: Duration, deadline: Duration) -> Result<i64, StoreError> {
        let seconds = ttl.as_secs_f64().ceil().max(1.0) as i64;
        let ask = |client: Client| async move { client.lease_client().grant(seconds, None).await };
        match self.members.call("grant a lease", deadline, ask).await {
            Err(StoreError::NoSpace { .. }) => {
                self.make_room().await?;
                let again = self.members.call("grant a lease", deadline, ask).await;
                Ok(self.after_clearing(again).await?.id())
            }
            granted => Ok(granted?.id()),
        }
    }

    /// Ends a lease and the key that hangs on it. Best effort: it would expire by itself.
    pub(super) async fn revoke(&self, lease: i64, deadline: Duration) {
        let ask = |client: Client| async move { client.lease_client().revoke(lease).await };
        if let Err(error) = self.members.call("revoke a lease", deadline, ask).await {
            warn!(%error, "a lease is left to expire");
        }
    }
}

/// The lease that the leader's key hangs on.
fn holder(answer: &TxnResponse) -> Option<i64> {
    Some(found(answer, 0)?.kvs().first()?.lease())
}

fn decode(value: &[u8]) -> Result<Leader, StoreError> {
    serde_json::from_slice(value).map_err(|e| StoreError::Damaged { key: LEADER.to_owned(), reason: e.to_string() })
}

#[cfg(test)]
mod tests {
    use lethe_servers::{EtcdCluster, EtcdOptions};

    use super::*;
    use crate::store::{EtcdAddress, Store};

    /// An etcd that is slow may let a lease expire before the seat is taken with it.
    #[tokio::test]
    async fn a_lease_that_expired_before_its_seat_is_taken_is_no_end_of_the_campaign() {
        let etcd = tokio::task::spawn_blocking(|| EtcdCluster::start(1, EtcdOptions::default()));
        let etcd = etcd.await.expect("no panic").expect("starts an etcd");
        let url = format!("etcd://{}", etcd.endpoints()[0].trim_start_matches("http://"));
        let address: EtcdAddress = url.parse().expect("is an address");
        let Store::Etcd(store) = Store::connect(&address).await.expect("connects") else { panic!("is no etcd") };
        let ttl = Duration::from_secs(2);
        let lease = store.grant(ttl, ttl).await.expect("grants");
        store.revoke(lease, ttl).await;
        let claim = Claim { leader: Leader { address: "http://here".to_owned(), term: Term(1) }, lease };
        let empty = Compare::create_revision(store.key(TERM), CompareOp::Equal, 0);
        let taken = store.take(&claim, empty, &[], ttl).await;
        assert!(matches!(taken, Err(StoreError::Expired { .. })), "{taken:?}");
    }
}
