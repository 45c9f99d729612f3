//! What each step of a training took, and its collective calls of it: seen from where the program speaks to its group.
//!
//! It must never change what the group does, nor tell of a step that did not end.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lethe_collective::{Collective, CollectiveError, Ledger, Operation, Pending, Tally, Traffic};
use lethe_common::ids::TaskId;
use lethe_model::tch::{Device, Tensor};

use super::link::Link;
use crate::frame::FromExecutor;
use crate::task::{CallTime, StepTime};

/// Steps are told together, so that short ones do not cost a frame each.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// The steps of one task that have ended and were not told yet.
pub(super) struct Steps {
    link: Link,
    task: TaskId,
    ended: RefCell<Vec<StepTime>>,
    told_at: Cell<Instant>,
}

impl Steps {
    pub fn new(link: Link, task: TaskId) -> Rc<Self> {
        Rc::new(Self { link, task, ended: RefCell::default(), told_at: Cell::new(Instant::now()) })
    }

    fn end(&self, step: StepTime) {
        self.ended.borrow_mut().push(step);
    }

    fn tell_in_time(&self) {
        if self.told_at.get().elapsed() >= TELL_EVERY {
            self.tell();
        }
    }

    /// A lost agent is noticed by the listener.
    fn tell(&self) {
        self.told_at.set(Instant::now());
        let steps = self.ended.take();
        if !steps.is_empty() {
            drop(self.link.send(&FromExecutor::Steps { task: self.task.clone(), steps }));
        }
    }

    /// The rest, when the group is gone. The last step was not taken where the training failed in it.
    pub fn finish(&self, is_whole: bool) {
        if !is_whole {
            self.ended.borrow_mut().pop();
        }
        self.tell();
    }
}

/// A group whose steps are timed.
pub(super) struct Timed {
    group: Box<dyn Collective>,
    steps: Rc<Steps>,
    now: RefCell<Option<Begun>>,
}

/// The step under way.
struct Begun {
    step: u64,
    at: Instant,
    wall: SystemTime,
    before: Traffic,
}

impl Timed {
    pub fn new(group: Box<dyn Collective>, steps: Rc<Steps>) -> Self {
        Self { group, steps, now: RefCell::default() }
    }

    fn end_step(&self) {
        let Some(Begun { step, at, wall, before }) = self.now.take() else { return };
        let began = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let calls = calls(&before, &self.group.traffic());
        self.steps.end(StepTime { step, began_us: us(began), took_us: us(at.elapsed()), calls });
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        self.end_step();
    }
}

fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn calls(before: &Traffic, after: &Traffic) -> Vec<CallTime> {
    let since = |operation: Operation| {
        let (Tally { calls, payload_bytes, waited }, was) = (after.of(operation), before.of(operation));
        CallTime {
            operation: operation.name().to_owned(),
            calls: calls - was.calls,
            payload_bytes: payload_bytes - was.payload_bytes,
            waited_us: us(waited - was.waited),
        }
    };
    Operation::ALL.into_iter().map(since).filter(|call| call.calls > 0).collect()
}

impl Collective for Timed {
    fn rank(&self) -> u32 {
        self.group.rank()
    }

    fn world_size(&self) -> u32 {
        self.group.world_size()
    }

    fn device(&self) -> Device {
        self.group.device()
    }

    fn all_reduce_sum(&self, tensor: &mut Tensor) -> Result<(), CollectiveError> {
        self.group.all_reduce_sum(tensor)
    }

    fn start_all_reduce_sum(&self, tensor: &mut Tensor) -> Result<Pending, CollectiveError> {
        self.group.start_all_reduce_sum(tensor)
    }

    fn broadcast(&self, tensor: &mut Tensor, root: u32) -> Result<(), CollectiveError> {
        self.group.broadcast(tensor, root)
    }

    fn all_gather(&self, tensor: &Tensor) -> Result<Vec<Tensor>, CollectiveError> {
        self.group.all_gather(tensor)
    }

    fn barrier(&self) -> Result<(), CollectiveError> {
        self.group.barrier()
    }

    fn begin_step(&self, step: u64) {
        self.end_step();
        self.steps.tell_in_time();
        self.group.begin_step(step);
        let begun = Begun { step, at: Instant::now(), wall: SystemTime::now(), before: self.group.traffic() };
        self.now.replace(Some(begun));
    }

    fn ledger(&self) -> Arc<Ledger> {
        self.group.ledger()
    }
}
