//! What a group has done and where it stands, readable from any thread: traffic for benchmarks, the call now
//! under way for whoever must say which rank holds up the others.
//!
//! Its lock is held for a few assignments, never across an operation.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The kinds of operation, as errors and reports name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    AllReduce,
    Broadcast,
    AllGather,
    Barrier,
}

impl Operation {
    pub const ALL: [Self; 4] = [Self::AllReduce, Self::Broadcast, Self::AllGather, Self::Barrier];

    pub fn name(self) -> &'static str {
        match self {
            Self::AllReduce => "all_reduce",
            Self::Broadcast => "broadcast",
            Self::AllGather => "all_gather",
            Self::Barrier => "barrier",
        }
    }
}

/// One call of one step. Ranks issue the same calls in one order, so the rank whose last call is the least is the
/// one that the others wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// What the caller last gave to `begin_step`; zero before.
    pub step: u64,
    /// Counts from 1 within the step, in the order of issue; a started operation counts when it is started.
    pub number: u64,
    pub operation: Operation,
}

/// A call that this rank's thread is waiting in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    pub call: Call,
    pub since: Instant,
}

/// What one kind of operation cost so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub calls: u64,
    /// Bytes of the tensors that this rank gave to the calls, whether they succeeded or not. What a backend sends
    /// is a multiple of it: 2(n-1)/n for a ring's sum.
    pub payload_bytes: u64,
    /// Time that this rank's thread spent in the calls; for a started operation, starting it and waiting for it.
    pub waited: Duration,
}

/// What every kind of operation cost since the group began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    pub all_reduce: Tally,
    pub broadcast: Tally,
    pub all_gather: Tally,
    pub barrier: Tally,
}

impl Traffic {
    pub fn of(&self, operation: Operation) -> Tally {
        match operation {
            Operation::AllReduce => self.all_reduce,
            Operation::Broadcast => self.broadcast,
            Operation::AllGather => self.all_gather,
            Operation::Barrier => self.barrier,
        }
    }

    fn tally(&mut self, operation: Operation) -> &mut Tally {
        match operation {
            Operation::AllReduce => &mut self.all_reduce,
            Operation::Broadcast => &mut self.broadcast,
            Operation::AllGather => &mut self.all_gather,
            Operation::Barrier => &mut self.barrier,
        }
    }
}

#[derive(Debug, Default)]
struct Account {
    step: u64,
    calls_of_step: u64,
    last: Option<Call>,
    waiting: Option<Waiting>,
    traffic: Traffic,
}

/// One group's account. The group writes it, anybody reads it; it outlives the group.
#[derive(Debug, Default)]
pub struct Ledger {
    account: Mutex<Account>,
}

impl Ledger {
    pub fn traffic(&self) -> Traffic {
        self.account().traffic
    }

    /// The call that the rank waits in at this moment; none while it computes.
    pub fn waiting(&self) -> Option<Waiting> {
        self.account().waiting
    }

    /// The call that the rank issued last, whether it ended or not.
    pub fn last_call(&self) -> Option<Call> {
        self.account().last
    }

    pub(crate) fn begin_step(&self, step: u64) {
        let mut account = self.account();
        account.step = step;
        account.calls_of_step = 0;
    }

    /// Numbers a call and counts what was given to it.
    pub(crate) fn issue(&self, operation: Operation, payload_bytes: u64) -> Call {
        let mut account = self.account();
        account.calls_of_step += 1;
        let call = Call { step: account.step, number: account.calls_of_step, operation };
        account.last = Some(call);
        let tally = account.traffic.tally(operation);
        tally.calls += 1;
        tally.payload_bytes += payload_bytes;
        call
    }

    /// Shows the call as under way while the body runs, and counts the time.
    pub(crate) fn wait<T>(&self, call: Call, body: impl FnOnce() -> T) -> T {
        let since = Instant::now();
        self.account().waiting = Some(Waiting { call, since });
        let outcome = body();
        let mut account = self.account();
        account.waiting = None;
        account.traffic.tally(call.operation).waited += since.elapsed();
        outcome
    }

    /// Every change is a few assignments, none of which panics: what another holder left is whole.
    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_count_within_their_step_and_traffic_since_the_group_began() {
        let ledger = Ledger::default();
        ledger.issue(Operation::Broadcast, 8);
        ledger.begin_step(7);
        let first = ledger.issue(Operation::AllReduce, 16);
        let second = ledger.issue(Operation::AllReduce, 4);
        assert_eq!(first, Call { step: 7, number: 1, operation: Operation::AllReduce });
        assert_eq!((second.number, ledger.last_call()), (2, Some(second)));
        let traffic = ledger.traffic();
        assert_eq!(traffic.all_reduce, Tally { calls: 2, payload_bytes: 20, waited: Duration::ZERO });
        assert_eq!(traffic.of(Operation::Broadcast).payload_bytes, 8);
    }

    #[test]
    fn a_call_shows_only_while_it_is_waited_for() {
        let ledger = Ledger::default();
        let call = ledger.issue(Operation::Barrier, 0);
        assert_eq!(ledger.waiting(), None);
        let seen = ledger.wait(call, || ledger.waiting());
        assert_eq!(seen.map(|waiting| waiting.call), Some(call));
        assert_eq!(ledger.waiting(), None);
    }
}
