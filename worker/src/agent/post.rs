//! What goes to the coordinator on the open session, apart from hello and heartbeats.
//!
//! It must never wait: a coordinator that does not read is noticed by the session, not here.

use lethe_common::fault::Fault;
use lethe_common::ids::TaskId;
use lethe_proto::v1;
use tokio::sync::mpsc;
use tracing::warn;
use v1::worker_message::Kind;

use crate::task::{Pace, Whereabouts};

/// Places in the outbox that progress leaves to what matters: all slots handed back at once, and more.
const KEPT_FOR_FAILURES: usize = 128;

/// The open session's outbox; dropping it closes the session.
#[derive(Debug)]
pub(super) struct Post {
    outbox: mpsc::Sender<v1::WorkerMessage>,
    blob_root: String,
}

impl Post {
    pub(super) fn new(outbox: mpsc::Sender<v1::WorkerMessage>, blob_root: String) -> Self {
        Self { outbox, blob_root }
    }

    pub(super) fn blob_root(&self) -> &str {
        &self.blob_root
    }

    /// Dropped where the network is behind: the next report says more.
    pub(super) fn progress(&self, task: TaskId, done: u64, total: u64) {
        self.may_send(Kind::Progress(v1::TaskProgress { task: Some(task.into()), done, total, place: None }));
    }

    /// Dropped likewise.
    pub(super) fn place(&self, task: TaskId, place: Whereabouts) {
        let Whereabouts { step, steps, call, call_number, waits } = place;
        let place = v1::GangPlace { step, call, call_number, waits };
        let done = step.saturating_sub(1);
        let progress = v1::TaskProgress { task: Some(task.into()), done, total: steps, place: Some(place) };
        self.may_send(Kind::Progress(progress));
    }

    /// Dropped likewise: the next one is of all tasks again.
    pub(super) fn pace(&self, pace: Pace) {
        let Pace { samples, tasks_ms, waited_ms } = pace;
        let pace = Some(v1::Pace { samples, tasks_ms, waited_ms });
        self.may_send(Kind::Heartbeat(v1::Heartbeat { pace }));
    }

    fn may_send(&self, kind: Kind) {
        if self.outbox.capacity() > KEPT_FOR_FAILURES {
            drop(self.outbox.try_send(v1::WorkerMessage { kind: Some(kind) }));
        }
    }

    pub(super) fn failed(&self, task: TaskId, fault: Fault) {
        self.must_send(Kind::Failed(v1::TaskFailed { task: Some(task.into()), fault: Some(fault.into()) }));
    }

    pub(super) fn draining(&self, reason: &str) {
        self.must_send(Kind::Draining(v1::Draining { reason: reason.to_owned() }));
    }

    /// Where even the kept places are full, the coordinator has stopped reading and will lose this worker.
    fn must_send(&self, kind: Kind) {
        if let Err(error) = self.outbox.try_send(v1::WorkerMessage { kind: Some(kind) }) {
            warn!(%error, "the coordinator does not read what it must know");
        }
    }
}
