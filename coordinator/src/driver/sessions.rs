//! The workers that have a session, one each, and when each was last heard.
//!
//! It must never wait on a worker: one that does not take its orders is lost.

use std::collections::BTreeMap;

use lethe_common::ids::WorkerId;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::input::{Order, SessionKey};

/// Orders a session may hold back; a worker runs a handful of tasks.
const MAX_QUEUED_ORDERS: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Sessions {
    by_worker: BTreeMap<WorkerId, Session>,
    last_number: u64,
}

#[derive(Debug)]
struct Session {
    number: u64,
    orders: mpsc::Sender<Order>,
    heard: Instant,
}

impl Sessions {
    pub fn contains(&self, worker: &WorkerId) -> bool {
        self.by_worker.contains_key(worker)
    }

    /// Makes the worker's session, in the place of any earlier one.
    pub fn join(&mut self, worker: WorkerId, now: Instant) -> (SessionKey, mpsc::Receiver<Order>) {
        self.last_number += 1;
        let (orders, queue) = mpsc::channel(MAX_QUEUED_ORDERS);
        let session = Session { number: self.last_number, orders, heard: now };
        self.by_worker.insert(worker.clone(), session);
        (SessionKey { worker, number: self.last_number }, queue)
    }

    /// Ends the worker's session; false where there is none.
    pub fn remove(&mut self, worker: &WorkerId) -> bool {
        self.by_worker.remove(worker).is_some()
    }

    /// Notes a sign of life; false where the session is over.
    pub fn touch(&mut self, key: &SessionKey, now: Instant) -> bool {
        let session = self.by_worker.get_mut(&key.worker).filter(|session| session.number == key.number);
        session.map(|session| session.heard = now).is_some()
    }

    /// Queues an order.
    ///
    /// # Errors
    /// Why the worker counts as lost.
    pub fn send(&self, worker: &WorkerId, order: Order) -> Result<(), &'static str> {
        let Some(session) = self.by_worker.get(worker) else { return Err("it has no session") };
        session.orders.try_send(order).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => "it does not take its orders",
            mpsc::error::TrySendError::Closed(_) => "its session is closed",
        })
    }

    pub fn silent_since(&self, limit: Instant) -> Vec<WorkerId> {
        self.by_worker.iter().filter(|(_, session)| session.heard < limit).map(|(worker, _)| worker.clone()).collect()
    }
}
