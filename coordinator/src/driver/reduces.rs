//! The reduces that run now, as tasks beside the driver; the end of each becomes one event.
//!
//! It must never let a reduce's panic reach the driver: it is a failure that another try may mend.

use std::collections::BTreeMap;
use std::future::Future;

use lethe_common::fault::Fault;
use lethe_common::ids::{Attempt, AuditId, PhaseIndex};
use lethe_engine::Event;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use crate::reduce::ReduceResult;

/// One try of one reduce phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReduceId {
    pub audit: AuditId,
    pub phase: PhaseIndex,
    pub attempt: Attempt,
}

/// Dropping it aborts them all.
#[derive(Debug, Default)]
pub(super) struct Reduces {
    tasks: JoinSet<Result<ReduceResult, Fault>>,
    running: BTreeMap<Id, (ReduceId, AbortHandle)>,
}

impl Reduces {
    /// Starts a reduce, unless this very attempt runs already.
    pub fn start(
        &mut self,
        reduce: ReduceId,
        work: impl Future<Output = Result<ReduceResult, Fault>> + Send + 'static,
    ) {
        if self.running.values().all(|(other, _)| *other != reduce) {
            let handle = self.tasks.spawn(work);
            self.running.insert(handle.id(), (reduce, handle));
        }
    }

    pub fn abort(&mut self, reduce: &ReduceId) {
        for (_, handle) in self.running.values().filter(|(other, _)| other == reduce) {
            handle.abort();
        }
    }

    /// The end of the next reduce that was not aborted; none while nothing runs. Safe to cancel.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let joined = self.tasks.join_next_with_id().await?;
            let id = match &joined {
                Ok((id, _)) => *id,
                Err(error) => error.id(),
            };
            let (reduce, _) = self.running.remove(&id)?;
            if let Some(event) = ended(reduce, joined.map(|(_, result)| result)) {
                return Some(event);
            }
        }
    }
}

fn ended(reduce: ReduceId, joined: Result<Result<ReduceResult, Fault>, JoinError>) -> Option<Event> {
    let ReduceId { audit, phase, attempt } = reduce;
    match joined {
        Ok(Ok(ReduceResult { outputs, outline, conclusion })) => {
            Some(Event::ReduceDone { audit, phase, attempt, outputs, outline, conclusion })
        }
        Ok(Err(fault)) => Some(Event::ReduceFailed { audit, phase, attempt, fault }),
        Err(error) if error.is_cancelled() => None,
        Err(error) => {
            let fault = Fault::retryable(format!("the reduce panicked: {error}"));
            Some(Event::ReduceFailed { audit, phase, attempt, fault })
        }
    }
}

#[cfg(test)]
mod tests {
    use lethe_common::ids::Term;

    use super::*;

    fn reduce(counter: u64) -> ReduceId {
        let audit = AuditId::new("a").expect("is an id");
        ReduceId { audit, phase: PhaseIndex(0), attempt: Attempt { term: Term(1), counter } }
    }

    #[tokio::test]
    async fn a_panic_is_a_retryable_failure() {
        let mut reduces = Reduces::default();
        reduces.start(reduce(1), async { panic!("a bug in a reduce") });
        let Some(Event::ReduceFailed { fault, attempt, .. }) = reduces.next().await else { panic!("no failure") };
        assert!(!fault.is_fatal() && fault.message.contains("a bug in a reduce"), "{fault}");
        assert_eq!(attempt, reduce(1).attempt);
    }

    #[tokio::test]
    async fn an_aborted_reduce_gives_no_event() {
        let mut reduces = Reduces::default();
        reduces.start(reduce(1), std::future::pending());
        reduces.abort(&reduce(1));
        assert_eq!(reduces.next().await, None);
    }

    #[tokio::test]
    async fn one_attempt_runs_once() {
        let mut reduces = Reduces::default();
        for _ in 0..2 {
            reduces.start(reduce(1), async { Ok(ReduceResult::default()) });
        }
        assert!(matches!(reduces.next().await, Some(Event::ReduceDone { .. })));
        assert_eq!(reduces.next().await, None);
    }
}
