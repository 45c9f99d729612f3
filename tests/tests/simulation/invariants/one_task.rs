//! A worker has one task: it is sent another only once the last ended, was lost, or was aborted long ago.

use std::collections::BTreeMap;

use lethe_common::ids::{TaskId, WorkerId};
use lethe_common::time::Millis;
use lethe_engine::{Command, Event};

pub struct OneTask {
    abort_ms: u64,
    holds: BTreeMap<WorkerId, Holding>,
}

struct Holding {
    task: TaskId,
    aborted: Option<Millis>,
}

impl OneTask {
    pub fn new(abort_ms: u64) -> Self {
        Self { abort_ms, holds: BTreeMap::new() }
    }

    pub fn new_leader(&mut self) {
        self.holds.clear();
    }

    pub fn heard(&mut self, event: &Event) {
        match event {
            Event::TaskCommitted { worker, task, .. } | Event::TaskFailed { worker, task, .. } => {
                if self.holds.get(worker).is_some_and(|holding| holding.task == *task) {
                    self.holds.remove(worker);
                }
            }
            Event::WorkerJoined { worker } | Event::WorkerLost { worker, .. } => drop(self.holds.remove(worker)),
            Event::Submitted { .. } | Event::CancelRequested { .. } | Event::TaskProgressed { .. } => {}
            Event::ReduceDone { .. } | Event::ReduceFailed { .. } | Event::Tick => {}
        }
    }

    pub fn check_act(&mut self, now: Millis, command: &Command) -> Result<(), String> {
        match command {
            Command::StartMap(start) => self.take(now, &start.worker, &start.task),
            Command::StartGangMember(start) => self.take(now, &start.worker, &start.task),
            Command::Abort { worker, task, .. } => match self.holds.get_mut(worker) {
                Some(holding) if holding.task == *task => {
                    holding.aborted = Some(now);
                    Ok(())
                }
                Some(_) | None => Err(format!("{worker} is to abort {task}, which it does not hold")),
            },
            Command::Persist(_) | Command::StartReduce { .. } | Command::AbortReduce { .. } => Ok(()),
            Command::Acknowledge { .. } | Command::AuditEnded { .. } => Ok(()),
        }
    }

    fn take(&mut self, now: Millis, worker: &WorkerId, task: &TaskId) -> Result<(), String> {
        let task = task.clone();
        match self.holds.insert(worker.clone(), Holding { task: task.clone(), aborted: None }) {
            None => Ok(()),
            Some(Holding { aborted: Some(at), .. }) if now.since_ms(at) >= self.abort_ms => Ok(()),
            Some(before) => Err(format!("{worker} is given {task} while it holds {}", before.task)),
        }
    }
}
