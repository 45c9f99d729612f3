//! The rendezvous store of one generation, served by the coordinator through the agent, so that gangs
//! need no port but Gloo's own.

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
