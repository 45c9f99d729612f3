//! The rendezvous store of one generation, served by the coordinator through the agent, so that gangs
//! need no port but Gloo's own; and how ranks wait for each other before they connect.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lethe_collective::{RendezvousError, RendezvousStore};
use lethe_common::ids::{Generation, TaskId};

use super::link::Link;
use crate::frame::{FromExecutor, RendezvousReply, RendezvousRequest};

/// How long a reply may take beyond the call's own wait: the way to the coordinator and back.
const REPLY_MARGIN: Duration = Duration::from_secs(10);

pub(super) struct AgentStore {
    pub(super) link: Link,
    pub(super) task: TaskId,
    pub(super) generation: Generation,
    pub(super) cancelled: Arc<AtomicBool>,
}

impl AgentStore {
    fn call(&self, request: RendezvousRequest, wait: Duration) -> Result<RendezvousReply, RendezvousError> {
        let (call, arrives) = self.link.open_call();
        if self.cancelled.load(Ordering::SeqCst) {
            self.link.close_call(call);
            return Err(unavailable("the task was aborted"));
        }
        let (task, generation) = (self.task.clone(), self.generation);
        let sent = self.link.send(&FromExecutor::Rendezvous { call, task, generation, request });
        sent.map_err(|e| unavailable(&e.to_string()))?;
        let reply = arrives.recv_timeout(wait + REPLY_MARGIN);
        self.link.close_call(call);
        reply.map_err(|_| unavailable("the task was aborted, or the agent does not answer"))
    }
}

/// Says that this rank is ready to connect, and waits until every rank is. A connection has the group's time-out, but a
/// newcomer may read its inputs for longer while the others have theirs: they wait for as long as the coordinator takes
/// it for alive, which ends the generation otherwise. `waits` is a sign of life of this rank.
pub(super) fn meet(
    store: &dyn RendezvousStore,
    rank: u32,
    world_size: u32,
    look_every: Duration,
    waits: impl Fn(),
) -> Result<(), RendezvousError> {
    let key = |rank: u32| format!("ready/{rank}");
    store.set(&key(rank), &[])?;
    for peer in 0..world_size {
        loop {
            let answer = store.get(&key(peer), look_every);
            waits();
            match answer {
                Ok(_) => break,
                Err(RendezvousError::TimedOut { .. }) => {}
                Err(gone @ RendezvousError::Unavailable(_)) => return Err(gone),
            }
        }
    }
    Ok(())
}

fn unavailable(why: &str) -> RendezvousError {
    RendezvousError::Unavailable(why.to_owned())
}

fn unexpected(reply: RendezvousReply) -> RendezvousError {
    match reply {
        RendezvousReply::Unavailable(why) => RendezvousError::Unavailable(why),
        RendezvousReply::Set | RendezvousReply::Value(_) | RendezvousReply::Sum(_) | RendezvousReply::TimedOut => {
            RendezvousError::Unavailable(format!("the agent answered {reply:?} to another question"))
        }
    }
}

impl RendezvousStore for AgentStore {
    fn set(&self, key: &str, value: &[u8]) -> Result<(), RendezvousError> {
        let request = RendezvousRequest::Set { key: key.to_owned(), value: value.to_vec() };
        match self.call(request, Duration::ZERO)? {
            RendezvousReply::Set => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    fn get(&self, key: &str, timeout: Duration) -> Result<Vec<u8>, RendezvousError> {
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let request = RendezvousRequest::Get { key: key.to_owned(), timeout_ms };
        match self.call(request, timeout)? {
            RendezvousReply::Value(value) => Ok(value),
            RendezvousReply::TimedOut => Err(RendezvousError::TimedOut { key: key.to_owned(), waited_ms: timeout_ms }),
            other => Err(unexpected(other)),
        }
    }

    fn add(&self, key: &str, amount: i64) -> Result<i64, RendezvousError> {
        let request = RendezvousRequest::Add { key: key.to_owned(), amount };
        match self.call(request, Duration::ZERO)? {
            RendezvousReply::Sum(sum) => Ok(sum),
            other => Err(unexpected(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::time::Instant;

    use lethe_collective::MemoryStore;

    use super::*;

    #[test]
    fn ranks_wait_for_one_that_takes_longer_than_any_call() {
        let store = MemoryStore::new();
        let signs = AtomicU32::new(0);
        let look = Duration::from_millis(20);
        std::thread::scope(|scope| {
            let early = scope.spawn(|| meet(&store, 0, 2, look, || _ = signs.fetch_add(1, Ordering::SeqCst)));
            let began = Instant::now();
            while signs.load(Ordering::SeqCst) < 5 {
                assert!(began.elapsed() < Duration::from_secs(30), "nobody waits");
                std::thread::yield_now();
            }
            assert!(!early.is_finished(), "it did not wait");
            meet(&store, 1, 2, look, || {}).expect("all are ready");
            early.join().expect("no panic").expect("all are ready");
        });
    }
}
