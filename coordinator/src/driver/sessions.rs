//! The workers that have a session, one each, and when each was last heard.
//!
//! It must never wait on a worker: one that does not take its orders is lost.

use std::collections::BTreeMap;

use lethe_common::ids::WorkerId;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::heart::Heard;
use super::input::{Greeting, Order, Pace, SessionKey};

/// Orders a session may hold back: every slot's, and their aborts.
const MAX_QUEUED_ORDERS: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Sessions {
    by_worker: BTreeMap<WorkerId, Session>,
    last_number: u64,
}

#[derive(Debug)]
pub(super) struct Session {
    number: u64,
    orders: mpsc::Sender<Order>,
    heard: Heard,
    pub greeting: Greeting,
    /// Whether it said that it goes.
    pub drains: bool,
}

impl Sessions {
    pub fn get(&self, worker: &WorkerId) -> Option<&Session> {
        self.by_worker.get(worker)
    }

    pub fn last_number(&self) -> u64 {
        self.last_number
    }

    /// Whether the worker's session is one of those up to this number.
    pub fn is_of(&self, worker: &WorkerId, last: u64) -> bool {
        self.by_worker.get(worker).is_some_and(|session| session.number <= last)
    }

    pub fn contains(&self, worker: &WorkerId) -> bool {
        self.by_worker.contains_key(worker)
    }

    pub fn is_current(&self, key: &SessionKey) -> bool {
        self.by_worker.get(&key.worker).is_some_and(|session| session.number == key.number)
    }

    /// Makes the worker's session, in the place of any earlier one.
    pub fn join(&mut self, greeting: Greeting, now: Instant) -> (SessionKey, mpsc::Receiver<Order>, Heard) {
        self.last_number += 1;
        let (orders, queue) = mpsc::channel(MAX_QUEUED_ORDERS);
        let (worker, heard) = (greeting.worker.clone(), Heard::at(now));
        let session = Session { number: self.last_number, orders, heard: heard.clone(), greeting, drains: false };
        self.by_worker.insert(worker.clone(), session);
        (SessionKey { worker, number: self.last_number }, queue, heard)
    }

    /// Remembers what the session's worker said of its pace; a session that was replaced is passed over.
    pub fn note_pace(&mut self, key: &SessionKey, pace: Pace) {
        if let Some(session) = self.by_worker.get_mut(&key.worker).filter(|session| session.number == key.number) {
            session.greeting.pace = Some(pace);
        }
    }

    pub fn note_draining(&mut self, worker: &WorkerId) {
        if let Some(session) = self.by_worker.get_mut(worker) {
            session.drains = true;
        }
    }

    /// Ends the worker's session, where there is one.
    pub fn remove(&mut self, worker: &WorkerId) -> Option<Session> {
        self.by_worker.remove(worker)
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
        self.by_worker.iter().filter(|(_, session)| session.heard.last() < limit).map(|(w, _)| w.clone()).collect()
    }
}

impl Session {
    /// Whether it can be taken to be alive: heard since, and its stream is open.
    pub fn is_alive(&self, since: Instant) -> bool {
        !self.orders.is_closed() && self.heard.last() >= since
    }
}

#[cfg(test)]
pub(super) mod fixture {
    use super::*;

    pub fn join(sessions: &mut Sessions, name: &str, now: Instant) -> mpsc::Receiver<Order> {
        let worker = WorkerId::new(name).expect("is an id");
        sessions.join(Greeting::of(worker), now).1
    }
}
