//! The place of the one executor, and of the task in it.
//!
//! It must never hold what waits beside it: the desk does.

use std::time::{Duration, Instant};

use lethe_common::fault::Fault;
use lethe_common::ids::TaskId;

use crate::frame::{RunTask, Work};

/// How long a process may take until it is ready: to load libtorch, and to open a device, at which a driver may hang for good.
pub(super) const START_GRACE: Duration = Duration::from_secs(120);

/// How long an aborted map task may go on before its executor is killed.
pub(super) const MAP_GRACE: Duration = Duration::from_secs(5);

/// The same for a gang, beyond its collective time-out: killing it would lose its training state.
pub(super) const GANG_GRACE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) enum Slot {
    /// The process runs but is not ready.
    Starting {
        /// None once it was killed.
        kill_at: Option<Instant>,
    },
    Idle,
    Running(Running),
    Aborting(Aborting),
    /// No process.
    Down {
        restart_at: Instant,
    },
    /// No process is wanted ever again.
    Stopped,
}

#[derive(Debug)]
pub(super) struct Running {
    pub(super) task: TaskId,
    /// None for a map task.
    gang_timeout: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Aborting {
    pub(super) task: TaskId,
    /// What is reported once it stopped.
    pub(super) fault: Fault,
    /// None once it was killed.
    pub(super) kill_at: Option<Instant>,
}

impl Running {
    pub(super) fn new(run: &RunTask) -> Self {
        Self { task: run.task.clone(), gang_timeout: gang_timeout(run) }
    }

    pub(super) fn is_gang(&self) -> bool {
        self.gang_timeout.is_some()
    }

    pub(super) fn abort(self, fault: Fault, now: Instant) -> Aborting {
        let grace = self.gang_timeout.map_or(MAP_GRACE, |timeout| GANG_GRACE + timeout);
        Aborting { task: self.task, fault, kill_at: Some(now + grace) }
    }
}

/// The time-out of a gang's collectives; none for a map task.
pub(super) fn gang_timeout(run: &RunTask) -> Option<Duration> {
    match &run.work {
        Work::Map { .. } => None,
        Work::Gang { place, .. } => Some(Duration::from_millis(place.timeout_ms)),
    }
}
