//! The operations of one group that are in flight.
//!
//! It exists so that dropping a group ends them, whoever still holds a `Pending`: a c10d Work that lives keeps
//! the group's sockets open, and the peers of a broken group would wait for their whole time-out.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::CollectiveError;
use crate::ffi;
use crate::ledger::{Call, Ledger};
use crate::pending::Pending;

#[derive(Default)]
pub(crate) struct Flight {
    works: Mutex<Works>,
}

#[derive(Default)]
struct Works {
    next: u64,
    by_ticket: BTreeMap<u64, Work>,
}

/// A `lethe::Work*` that this value owns.
struct Work(*mut c_void);

// SAFETY: c10d's Work may be waited for and released on any thread; here one thread at a time does.
unsafe impl Send for Work {}

impl Work {
    fn wait(&self, operation: &'static str) -> Result<(), CollectiveError> {
        // SAFETY: the work is live until `drop`.
        ffi::check(operation, unsafe { ffi::lethe_work_wait(self.0) })
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // SAFETY: the pointer came from the shim and is freed once.
        unsafe { ffi::lethe_work_free(self.0) }
    }
}

impl Flight {
    /// Takes over a work that the shim just started.
    ///
    /// # Safety
    /// `work` must come from the shim and belong to nobody else.
    pub(crate) unsafe fn track(self: &Arc<Self>, work: *mut c_void, call: Call, ledger: Arc<Ledger>) -> Pending {
        let mut works = self.works();
        let ticket = works.next;
        works.next += 1;
        works.by_ticket.insert(ticket, Work(work));
        let passenger = Passenger { flight: self.clone(), ticket };
        Pending::new(move || ledger.wait(call, || passenger.wait(call.operation.name())))
    }

    /// Ends all that is in flight, in the order of issue.
    pub(crate) fn end_all(&self) {
        let ended = std::mem::take(&mut self.works().by_ticket);
        ended.into_values().for_each(drop);
    }

    /// Out of the lock, so that waiting for one operation blocks nobody else.
    fn take(&self, ticket: u64) -> Option<Work> {
        self.works().by_ticket.remove(&ticket)
    }

    fn works(&self) -> MutexGuard<'_, Works> {
        self.works.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A `Pending`'s claim on its work.
struct Passenger {
    flight: Arc<Flight>,
    ticket: u64,
}

impl Passenger {
    fn wait(&self, operation: &'static str) -> Result<(), CollectiveError> {
        let detail = "its group was dropped before it was waited for; wait first".to_owned();
        let work = self.flight.take(self.ticket).ok_or(CollectiveError::Other { operation, detail })?;
        work.wait(operation)
    }
}

impl Drop for Passenger {
    fn drop(&mut self) {
        drop(self.flight.take(self.ticket));
    }
}
