//! What the agent decides: which task its one executor runs, aborts or has lost.
//!
//! ```text
//!            Ready                  assigned                 abort asked
//! Starting ─────────> Idle ────────────────────> Running ─────────────────> Aborting
//!    │ ^               │ ^                         │ │                        │ │
//!    │ │ time          │ └──────── done, failed ───┘ │                        │ │
//!    v │               │ └──────── done, failed ─────│────────────────────────┘ │
//!   Down <─────────────┴──────────────── exited ─────┴──────────────────────────┘
//! ```
//!
//! It must never read a clock, start a process or send: it returns what to do, in order.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use lethe_common::backoff::Backoff;
use lethe_common::fault::Fault;
use lethe_common::ids::TaskId;

use crate::frame::{RunTask, Work};
use crate::task::TaskOutput;

/// How long an aborted map task may go on before its executor is killed.
const MAP_GRACE: Duration = Duration::from_secs(5);

/// The same for a gang, beyond its collective time-out: killing it would lose its training state.
const GANG_GRACE: Duration = Duration::from_secs(5);

/// Tasks that may wait for the executor; more are refused.
const MAX_WAITING: usize = 4;

/// Between tries to start an executor that dies before it is ready.
const RESTART: Backoff = Backoff { first_ms: 200, cap_ms: 10_000 };

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Input {
    Assigned(Box<RunTask>),
    AbortAsked {
        task: TaskId,
        reason: String,
    },
    /// The coordinator or this process is ending: nothing it gave is wanted any more.
    AbortAll {
        reason: String,
    },
    ExecutorReady,
    ExecutorDone {
        task: TaskId,
        output: TaskOutput,
    },
    ExecutorFailed {
        task: TaskId,
        fault: Fault,
    },
    /// With what the system said about its end, such as `died with signal 9`.
    ExecutorExited {
        how: String,
    },
    Tick,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    StartExecutor,
    KillExecutor,
    Run(Box<RunTask>),
    Abort(TaskId),
    Commit(TaskId, TaskOutput),
    Fail(TaskId, Fault),
}

#[derive(Debug)]
enum Slot {
    /// The process runs but is not ready.
    Starting,
    Idle,
    Running(Running),
    Aborting(Aborting),
    /// No process.
    Down {
        restart_at: Instant,
    },
}

#[derive(Debug)]
struct Running {
    task: TaskId,
    grace: Duration,
}

#[derive(Debug)]
struct Aborting {
    task: TaskId,
    reason: String,
    /// None once it was killed.
    kill_at: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Desk {
    slot: Slot,
    waiting: VecDeque<RunTask>,
    /// Executors that died since the last one was ready.
    failed_starts: u32,
}

impl Running {
    fn new(run: &RunTask) -> Self {
        let grace = match &run.work {
            Work::Map { .. } => MAP_GRACE,
            Work::Gang { place, .. } => GANG_GRACE + Duration::from_millis(place.timeout_ms),
        };
        Self { task: run.task.clone(), grace }
    }

    fn abort(self, reason: String, now: Instant) -> Aborting {
        Aborting { task: self.task, reason, kill_at: Some(now + self.grace) }
    }
}

impl Aborting {
    fn fault(&self) -> Fault {
        Fault::retryable(format!("{}: aborted: {}", self.task, self.reason))
    }
}

impl Desk {
    /// Without a process; the first tick starts one.
    pub(super) fn new(now: Instant) -> Self {
        Self { slot: Slot::Down { restart_at: now }, waiting: VecDeque::new(), failed_starts: 0 }
    }

    /// Whether no task is held.
    pub(super) fn is_free(&self) -> bool {
        match &self.slot {
            Slot::Starting | Slot::Idle | Slot::Down { .. } => self.waiting.is_empty(),
            Slot::Running(_) | Slot::Aborting(_) => false,
        }
    }

    pub(super) fn step(&mut self, now: Instant, input: Input) -> Vec<Action> {
        match input {
            Input::Assigned(run) => self.assign(*run),
            Input::AbortAsked { task, reason } => self.abort(&task, &reason, now),
            Input::AbortAll { reason } => self.abort_all(&reason, now),
            Input::ExecutorReady => self.ready(),
            Input::ExecutorDone { task, output } => self.ended(task, Ok(output)),
            Input::ExecutorFailed { task, fault } => self.ended(task, Err(fault)),
            Input::ExecutorExited { how } => self.exited(&how, now),
            Input::Tick => self.tick(now),
        }
    }

    fn assign(&mut self, run: RunTask) -> Vec<Action> {
        if self.holds(&run.task) {
            return Vec::new(); // sent twice
        }
        if self.waiting.len() >= MAX_WAITING {
            let message = format!("{}: refused: {MAX_WAITING} tasks wait for this worker's executor", run.task);
            return vec![Action::Fail(run.task, Fault::retryable(message))];
        }
        self.waiting.push_back(run);
        self.next()
    }

    fn holds(&self, task: &TaskId) -> bool {
        let current = match &self.slot {
            Slot::Running(running) => &running.task == task,
            Slot::Aborting(aborting) => &aborting.task == task,
            Slot::Starting | Slot::Idle | Slot::Down { .. } => false,
        };
        current || self.waiting.iter().any(|run| &run.task == task)
    }

    /// Hands the oldest waiting task to an idle executor.
    fn next(&mut self) -> Vec<Action> {
        match (&self.slot, self.waiting.pop_front()) {
            (Slot::Idle, Some(run)) => {
                self.slot = Slot::Running(Running::new(&run));
                vec![Action::Run(Box::new(run))]
            }
            (_, Some(run)) => {
                self.waiting.push_front(run);
                Vec::new()
            }
            (_, None) => Vec::new(),
        }
    }

    fn abort(&mut self, task: &TaskId, reason: &str, now: Instant) -> Vec<Action> {
        let (aborted, kept) = self.waiting.drain(..).partition::<VecDeque<_>, _>(|run| &run.task == task);
        self.waiting = kept;
        let mut actions = fail_all(aborted, &format!("aborted: {reason}"));
        self.slot = match std::mem::replace(&mut self.slot, Slot::Starting) {
            Slot::Running(running) if &running.task == task => {
                actions.push(Action::Abort(running.task.clone()));
                Slot::Aborting(running.abort(reason.to_owned(), now))
            }
            other @ (Slot::Starting | Slot::Idle | Slot::Running(_) | Slot::Aborting(_) | Slot::Down { .. }) => other,
        };
        actions
    }

    fn abort_all(&mut self, reason: &str, now: Instant) -> Vec<Action> {
        let mut actions = fail_all(std::mem::take(&mut self.waiting), &format!("aborted: {reason}"));
        if let Slot::Running(running) = &self.slot {
            let task = running.task.clone();
            actions.extend(self.abort(&task, reason, now));
        }
        actions
    }

    fn ready(&mut self) -> Vec<Action> {
        self.failed_starts = 0;
        self.slot = match std::mem::replace(&mut self.slot, Slot::Idle) {
            Slot::Starting | Slot::Idle | Slot::Down { .. } => Slot::Idle,
            busy @ (Slot::Running(_) | Slot::Aborting(_)) => busy, // said twice
        };
        self.next()
    }

    /// A result that comes after the abort is dropped: the coordinator has given the task up.
    fn ended(&mut self, task: TaskId, outcome: Result<TaskOutput, Fault>) -> Vec<Action> {
        let action = match &self.slot {
            Slot::Running(running) if running.task == task => match outcome {
                Ok(output) => Action::Commit(task, output),
                Err(fault) => Action::Fail(task, fault),
            },
            Slot::Aborting(aborting) if aborting.task == task => Action::Fail(task, aborting.fault()),
            Slot::Starting | Slot::Idle | Slot::Running(_) | Slot::Aborting(_) | Slot::Down { .. } => {
                return Vec::new();
            }
        };
        self.slot = Slot::Idle;
        let mut actions = vec![action];
        actions.extend(self.next());
        actions
    }

    fn exited(&mut self, how: &str, now: Instant) -> Vec<Action> {
        match std::mem::replace(&mut self.slot, Slot::Starting) {
            Slot::Starting | Slot::Down { .. } => self.failed_start(how, now),
            Slot::Idle => vec![Action::StartExecutor],
            Slot::Running(Running { task, .. }) => {
                let fault = Fault::retryable(format!("executor {how} while running {task}"));
                vec![Action::Fail(task, fault), Action::StartExecutor]
            }
            Slot::Aborting(aborting) => {
                let fault = aborting.fault();
                vec![Action::Fail(aborting.task, fault), Action::StartExecutor]
            }
        }
    }

    /// Waiting tasks are handed back, since another worker may be able to run them.
    fn failed_start(&mut self, how: &str, now: Instant) -> Vec<Action> {
        let restart_at = now + RESTART.pause(self.failed_starts, 1.0);
        self.failed_starts = self.failed_starts.saturating_add(1);
        self.slot = Slot::Down { restart_at };
        fail_all(std::mem::take(&mut self.waiting), &format!("executor {how} before it was ready"))
    }

    fn tick(&mut self, now: Instant) -> Vec<Action> {
        match &mut self.slot {
            Slot::Down { restart_at } if *restart_at <= now => {
                self.slot = Slot::Starting;
                vec![Action::StartExecutor]
            }
            Slot::Aborting(aborting) if aborting.kill_at.is_some_and(|at| at <= now) => {
                aborting.kill_at = None;
                vec![Action::KillExecutor]
            }
            Slot::Starting | Slot::Idle | Slot::Running(_) | Slot::Aborting(_) | Slot::Down { .. } => Vec::new(),
        }
    }
}

fn fail_all(runs: VecDeque<RunTask>, why: &str) -> Vec<Action> {
    let fail = |run: RunTask| {
        let message = format!("{}: {why}", run.task);
        Action::Fail(run.task, Fault::retryable(message))
    };
    runs.into_iter().map(fail).collect()
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
