//! What the agent decides: which task its one executor runs, aborts or has lost, and what waits beside it.
//!
//! ```text
//!            Ready                  assigned                 abort asked
//! Starting ─────────> Idle ────────────────────> Running ─────────────────> Aborting
//!    │ ^               │ ^                         │ │                        │ │
//!    │ │ time          │ └──────── done, failed ───┘ │                        │ │
//!    v │               │ └──────── done, failed ─────│────────────────────────┘ │
//!   Down <─────────────┴──────────────── exited ─────┴──────────────────────────┘
//!
//!   any ── hand back ──> Stopped <── exited, while draining ── any
//! ```
//!
//! It must never read a clock, start a process or send: it returns what to do, in order.

use std::collections::VecDeque;
use std::time::Instant;

use lethe_common::backoff::Backoff;
use lethe_common::fault::Fault;
use lethe_common::ids::TaskId;

use super::Slots;
use super::setback::{aborted, handed_back, never_ready};
use super::slot::{Aborting, MAP_GRACE, Running, START_GRACE, Slot, gang_timeout};
use crate::frame::RunTask;
use crate::task::TaskOutput;

/// Tasks that may wait beyond the announced slots: sent before the coordinator heard of an end, or in place of a
/// task that is being aborted. More are refused.
const BEYOND_SLOTS: usize = 2;

/// Between tries to start an executor that dies before it is ready.
const RESTART: Backoff = Backoff { first_ms: 200, cap_ms: 10_000 };

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Input {
    Assigned(Box<RunTask>),
    AbortAsked {
        task: TaskId,
        reason: String,
    },
    /// Nothing that is held can be committed any more.
    AbortAll {
        reason: String,
    },
    /// Map tasks go on, since their leader may come back; a gang's peers and rendezvous are gone.
    SessionLost {
        reason: String,
    },
    /// The same leader is back. It has given up what was held: what has not begun is not worth beginning, while a
    /// result that is on its way may still be the first.
    SessionResumed,
    /// Nothing new is taken; a running map task may finish.
    Drain {
        reason: String,
    },
    /// This process ends now, whatever runs.
    HandBack {
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
    /// It ends by itself, and takes nothing more.
    ExecutorBroken {
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
    /// What probably runs next.
    Expect(Box<RunTask>),
    Abort(TaskId),
    Commit(TaskId, TaskOutput),
    Fail(TaskId, Fault),
}

#[derive(Debug)]
pub(super) struct Desk {
    slot: Slot,
    waiting: VecDeque<RunTask>,
    max_waiting: usize,
    /// Why nothing new is taken, once that is so.
    draining: Option<String>,
    /// Executors that died since the last one was ready.
    failed_starts: u32,
}

impl Desk {
    /// Without a process; the first tick starts one.
    pub(super) fn new(now: Instant, slots: Slots) -> Self {
        Self {
            slot: Slot::Down { restart_at: now },
            waiting: VecDeque::new(),
            max_waiting: slots.get() as usize + BEYOND_SLOTS,
            draining: None,
            failed_starts: 0,
        }
    }

    /// Whether no task is held.
    pub(super) fn is_free(&self) -> bool {
        match &self.slot {
            Slot::Starting { .. } | Slot::Idle | Slot::Down { .. } | Slot::Stopped => self.waiting.is_empty(),
            Slot::Running(_) | Slot::Aborting(_) => false,
        }
    }

    pub(super) fn step(&mut self, now: Instant, input: Input) -> Vec<Action> {
        match input {
            Input::Assigned(run) => self.assign(*run),
            Input::AbortAsked { task, reason } => self.abort(&task, &reason, now),
            Input::AbortAll { reason } => self.abort_all(&reason, now),
            Input::SessionLost { reason } => self.abort_gangs(&reason, now),
            Input::SessionResumed => self.hand_back_waiting("its session ended before it began"),
            Input::Drain { reason } => self.drain(reason, now),
            Input::HandBack { reason } => self.hand_back(&reason),
            Input::ExecutorReady => self.ready(),
            Input::ExecutorDone { task, output } => self.ended(task, Ok(output)),
            Input::ExecutorFailed { task, fault } => self.ended(task, Err(fault)),
            Input::ExecutorBroken { task, fault } => self.broken(&task, fault, now),
            Input::ExecutorExited { how } => self.exited(&how, now),
            Input::Tick => self.tick(now),
        }
    }

    fn assign(&mut self, run: RunTask) -> Vec<Action> {
        if self.holds(&run.task) {
            return Vec::new(); // sent twice
        }
        if let Some(reason) = &self.draining {
            let fault = Fault::handed_back(format!("{}: not taken: {reason}", run.task));
            return vec![Action::Fail(run.task, fault)];
        }
        if let Slot::Starting { kill_at: None } = self.slot {
            let fault = never_ready(&run.task);
            return vec![Action::Fail(run.task, fault)];
        }
        if self.waiting.len() >= self.max_waiting {
            let message = format!("{}: refused: {} tasks wait for this worker's executor", run.task, self.max_waiting);
            return vec![Action::Fail(run.task, Fault::retryable(message))];
        }
        self.waiting.push_back(run);
        match self.next() {
            none if none.is_empty() && self.waiting.len() == 1 => self.expected().into_iter().collect(),
            started => started,
        }
    }

    /// The task that waits first, while another map task computes: a gang wants the memory for itself.
    fn expected(&self) -> Option<Action> {
        match &self.slot {
            Slot::Running(running) if !running.is_gang() => {
                self.waiting.front().and_then(RunTask::to_expect).map(|run| Action::Expect(Box::new(run)))
            }
            Slot::Starting { .. }
            | Slot::Idle
            | Slot::Running(_)
            | Slot::Aborting(_)
            | Slot::Down { .. }
            | Slot::Stopped => None,
        }
    }

    fn holds(&self, task: &TaskId) -> bool {
        let current = match &self.slot {
            Slot::Running(running) => &running.task == task,
            Slot::Aborting(aborting) => &aborting.task == task,
            Slot::Starting { .. } | Slot::Idle | Slot::Down { .. } | Slot::Stopped => false,
        };
        current || self.waiting.iter().any(|run| &run.task == task)
    }

    /// Hands the oldest waiting task to an idle executor.
    fn next(&mut self) -> Vec<Action> {
        match (&self.slot, self.waiting.pop_front()) {
            (Slot::Idle, Some(run)) => {
                self.slot = Slot::Running(Running::new(&run));
                std::iter::once(Action::Run(Box::new(run))).chain(self.expected()).collect()
            }
            (_, Some(run)) => {
                self.waiting.push_front(run);
                Vec::new()
            }
            (_, None) => Vec::new(),
        }
    }

    fn abort(&mut self, task: &TaskId, reason: &str, now: Instant) -> Vec<Action> {
        let mut actions = self.fail_waiting(|run| &run.task == task, |task| aborted(task, reason));
        actions.extend(self.abort_running(|running| &running.task == task, |task| aborted(task, reason), now));
        actions
    }

    fn abort_all(&mut self, reason: &str, now: Instant) -> Vec<Action> {
        let mut actions = self.fail_waiting(|_| true, |task| aborted(task, reason));
        actions.extend(self.abort_running(|_| true, |task| aborted(task, reason), now));
        actions
    }

    fn abort_gangs(&mut self, reason: &str, now: Instant) -> Vec<Action> {
        let mut actions = self.fail_waiting(|run| gang_timeout(run).is_some(), |task| aborted(task, reason));
        actions.extend(self.abort_running(Running::is_gang, |task| aborted(task, reason), now));
        actions
    }

    /// A gang is left at once, so that the others can form the next generation; it stops between two steps.
    fn drain(&mut self, reason: String, now: Instant) -> Vec<Action> {
        let mut actions = self.hand_back_waiting(&reason);
        actions.extend(self.abort_running(Running::is_gang, |task| handed_back(task, &reason), now));
        self.draining = Some(reason);
        actions
    }

    fn hand_back(&mut self, reason: &str) -> Vec<Action> {
        let mut actions = self.hand_back_waiting(reason);
        self.draining.get_or_insert_with(|| reason.to_owned());
        match std::mem::replace(&mut self.slot, Slot::Stopped) {
            Slot::Running(Running { task, .. }) => {
                let fault = handed_back(&task, reason);
                actions.extend([Action::Fail(task, fault), Action::KillExecutor]);
            }
            Slot::Aborting(Aborting { task, fault, .. }) => {
                actions.extend([Action::Fail(task, fault), Action::KillExecutor]);
            }
            Slot::Starting { .. } | Slot::Idle | Slot::Down { .. } | Slot::Stopped => {}
        }
        actions
    }

    fn hand_back_waiting(&mut self, reason: &str) -> Vec<Action> {
        self.fail_waiting(|_| true, |task| handed_back(task, reason))
    }

    fn fail_waiting(&mut self, of: impl Fn(&RunTask) -> bool, fault: impl Fn(&TaskId) -> Fault) -> Vec<Action> {
        let (failed, kept) = self.waiting.drain(..).partition::<VecDeque<_>, _>(|run| of(run));
        self.waiting = kept;
        let fail = |run: RunTask| {
            let fault = fault(&run.task);
            Action::Fail(run.task, fault)
        };
        failed.into_iter().map(fail).collect()
    }

    /// Asks what runs to stop, if it is one of those; it is reported when it did.
    fn abort_running(
        &mut self,
        of: impl Fn(&Running) -> bool,
        fault: impl Fn(&TaskId) -> Fault,
        now: Instant,
    ) -> Option<Action> {
        match std::mem::replace(&mut self.slot, Slot::Stopped) {
            Slot::Running(running) if of(&running) => {
                let (task, fault) = (running.task.clone(), fault(&running.task));
                self.slot = Slot::Aborting(running.abort(fault, now));
                Some(Action::Abort(task))
            }
            other @ (Slot::Starting { .. }
            | Slot::Idle
            | Slot::Running(_)
            | Slot::Aborting(_)
            | Slot::Down { .. }
            | Slot::Stopped) => {
                self.slot = other;
                None
            }
        }
    }

    fn ready(&mut self) -> Vec<Action> {
        self.failed_starts = 0;
        self.slot = match std::mem::replace(&mut self.slot, Slot::Idle) {
            Slot::Starting { .. } | Slot::Idle | Slot::Down { .. } => Slot::Idle,
            kept @ (Slot::Running(_) | Slot::Aborting(_) | Slot::Stopped) => kept, // said twice, or too late
        };
        self.next()
    }

    /// A result that comes after the abort is dropped: the coordinator has given the task up.
    fn ended(&mut self, task: TaskId, outcome: Result<TaskOutput, Fault>) -> Vec<Action> {
        let action = match (&self.slot, outcome) {
            (Slot::Running(running), Ok(output)) if running.task == task => Action::Commit(task, output),
            (Slot::Running(running), Err(fault)) if running.task == task => Action::Fail(task, fault),
            (Slot::Aborting(aborting), _) if aborting.task == task => Action::Fail(task, aborting.fault.clone()),
            (
                Slot::Starting { .. }
                | Slot::Idle
                | Slot::Running(_)
                | Slot::Aborting(_)
                | Slot::Down { .. }
                | Slot::Stopped,
                _,
            ) => return Vec::new(),
        };
        self.slot = Slot::Idle;
        let mut actions = vec![action];
        actions.extend(self.next());
        actions
    }

    /// Reported when the process is gone, so that no task is given to one that ends.
    fn broken(&mut self, task: &TaskId, fault: Fault, now: Instant) -> Vec<Action> {
        let kill_at = Some(now + MAP_GRACE);
        match &mut self.slot {
            Slot::Running(running) if running.task == *task => {
                self.slot = Slot::Aborting(Aborting { task: task.clone(), fault, kill_at });
            }
            Slot::Aborting(aborting) if aborting.task == *task => aborting.kill_at = kill_at,
            Slot::Starting { .. }
            | Slot::Idle
            | Slot::Running(_)
            | Slot::Aborting(_)
            | Slot::Down { .. }
            | Slot::Stopped => {}
        }
        Vec::new()
    }

    fn exited(&mut self, how: &str, now: Instant) -> Vec<Action> {
        let lost = match std::mem::replace(&mut self.slot, Slot::Stopped) {
            Slot::Starting { .. } | Slot::Down { .. } => return self.failed_start(how, now),
            Slot::Idle => None,
            Slot::Running(Running { task, .. }) => {
                let fault = Fault::retryable(format!("executor {how} while running {task}"));
                Some(Action::Fail(task, fault))
            }
            Slot::Aborting(Aborting { task, fault, .. }) => Some(Action::Fail(task, fault)),
            Slot::Stopped => None,
        };
        lost.into_iter().chain(self.restart(now)).collect()
    }

    fn restart(&mut self, now: Instant) -> Option<Action> {
        if self.draining.is_some() {
            self.slot = Slot::Stopped;
            return None;
        }
        self.slot = Slot::Starting { kill_at: Some(now + START_GRACE) };
        Some(Action::StartExecutor)
    }

    /// Waiting tasks are handed back, since another worker may be able to run them.
    fn failed_start(&mut self, how: &str, now: Instant) -> Vec<Action> {
        let restart_at = now + RESTART.pause(self.failed_starts, 1.0);
        self.failed_starts = self.failed_starts.saturating_add(1);
        self.slot = Slot::Down { restart_at };
        let fault = |task: &TaskId| Fault::retryable(format!("{task}: executor {how} before it was ready"));
        self.fail_waiting(|_| true, fault)
    }

    fn tick(&mut self, now: Instant) -> Vec<Action> {
        match &mut self.slot {
            Slot::Down { restart_at } if *restart_at <= now => self.restart(now).into_iter().collect(),
            Slot::Starting { kill_at } if kill_at.is_some_and(|at| at <= now) => {
                *kill_at = None;
                // A process that hangs in a driver may outlive its kill: nothing waits for it.
                let mut actions = self.fail_waiting(|_| true, never_ready);
                actions.push(Action::KillExecutor);
                actions
            }
            Slot::Aborting(aborting) if aborting.kill_at.is_some_and(|at| at <= now) => {
                aborting.kill_at = None;
                vec![Action::KillExecutor]
            }
            Slot::Starting { .. }
            | Slot::Idle
            | Slot::Running(_)
            | Slot::Aborting(_)
            | Slot::Down { .. }
            | Slot::Stopped => Vec::new(),
        }
    }
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
