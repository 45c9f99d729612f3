//! The thread that owns torch: one task after another, each ending in `Done` or `Failed`.
//!
//! It must never end because a task failed: a panic of a program (tch panics on bad shapes) is that
//! task's fault.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lethe_collective::{Backend, CollectiveError, Group, GroupOptions};
use lethe_common::fault::{Fault, FaultKind};
use lethe_common::ids::TaskId;
use lethe_common::spec::Spec;
use lethe_model::tch::Device;
use lethe_telemetry::logs;

use super::ahead::Opening;
use super::give_back;
use super::link::Link;
use super::listen::Assignment;
use super::rendezvous::{AgentStore, meet};
use super::steps::{Steps, Timed};
use super::{Programs, failure};
use crate::frame::{FromExecutor, Place, RunTask, Work};
use crate::task::{Announce, Blobs, Checkpoint, Connect, GangContext, GangMemory, Kept, TaskContext, TaskOutput, Tell};

/// The shortest time between two progress reports of a task; the last unit is always reported.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// The address that gang peers reach this machine under, where they are not all on one.
const HOST_VARIABLE: &str = "LETHE_GANG_HOST";

/// How often a rank that waits for others shows that it lives, within the group's time-out.
const LOOKS_A_TIMEOUT: u32 = 4;

pub(super) struct Runner {
    programs: Programs,
    device: Device,
    link: Link,
    memory: GangMemory,
    kept: Kept,
    /// Whose executor this is, for its log.
    worker: String,
    /// The store that the last task used, under its root.
    blobs: Option<(String, Arc<Blobs>)>,
}

impl Runner {
    pub(super) fn new(programs: Programs, (device, worker): (Device, String), link: Link) -> Self {
        let (memory, kept) = (GangMemory::default(), Kept::default());
        Self { programs, device, link, memory, kept, worker, blobs: None }
    }

    /// Runs one task and reports its end.
    ///
    /// # Errors
    /// The agent is gone, or the device failed, which the task's end told: this process should end.
    pub(super) fn run(&mut self, assignment: Assignment) -> std::io::Result<()> {
        let task = assignment.run.task.clone();
        let is_gang = matches!(assignment.run.work, Work::Gang { .. });
        let trace = assignment.run.traceparent.as_deref().and_then(|text| text.parse().ok());
        let _said = logs::task(&task, &self.worker, trace).entered();
        let began = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| self.attempt(assignment)));
        let took_ms = began.elapsed().as_millis() as u64;
        let outcome = outcome.unwrap_or_else(|payload| {
            // What a panic left half-done is not a state to train on.
            self.memory.forget();
            Err(Fault::retryable(format!("{task}: panicked: {}", first_line(payload.as_ref()))))
        });
        match outcome {
            Ok(output) => self.link.send(&FromExecutor::Done { task, output, took_ms }),
            Err(fault) => {
                self.kept.forget(); // it may have been what left no memory
                let mut fault = failure::classify(fault);
                if is_gang && fault.kind == FaultKind::OutOfMemory {
                    // Halving is for map tasks: the batch of a training decides what it gives.
                    fault.message.push_str("; a smaller gang.micro_batch needs less");
                }
                if !failure::is_of_device(&fault.message) {
                    return self.link.send(&FromExecutor::Failed { task, fault });
                }
                let failed = std::io::Error::other(format!("the device failed: {}", fault.message));
                self.link.send(&FromExecutor::Broken { task, fault })?;
                Err(failed)
            }
        }
    }

    fn attempt(&mut self, assignment: Assignment) -> Result<TaskOutput, Fault> {
        let Assignment { run, opening, cancelled } = assignment;
        let RunTask { task, work, spec_json, inputs, batch_halvings, blob_root, traceparent: _ } = run;
        let spec: Spec = serde_json::from_str(&spec_json)
            // A worker of another build may know better.
            .map_err(|e| Fault::retryable(format!("{task}: this worker cannot read the audit's spec: {e}")))?;
        let blobs = blobs(&mut self.blobs, blob_root)?;
        match &work {
            Work::Map { .. } => {
                self.memory.pass(&task);
                self.kept.enter(&task, &spec_json);
            }
            Work::Gang { .. } => {
                self.memory.enter(&task, &spec_json);
                self.kept.forget();
            }
        }
        let progress = reporter(self.link.clone(), task.clone());
        let (progress, cancelled_flag) = (&progress, &*cancelled);
        let ctx = TaskContext {
            task: task.clone(),
            spec,
            inputs,
            batch_halvings,
            device: self.device,
            blobs,
            kept: &self.kept,
            opened: opening.and_then(Opening::shard).into(),
            progress,
            cancelled: cancelled_flag,
        };
        ctx.stop_if_cancelled()?;
        match work {
            Work::Map { program } => {
                let ended = (self.programs.map)(program, &ctx);
                give_back();
                ended
            }
            Work::Gang { program, place, checkpoint } => {
                let store = AgentStore {
                    link: self.link.clone(),
                    task: task.clone(),
                    generation: place.generation,
                    cancelled: cancelled.clone(),
                };
                let announce = announce(self.link.clone(), task.clone());
                let tell = tell(self.link.clone(), task.clone());
                let waits = reporter(self.link.clone(), task.clone());
                let steps = Steps::new(self.link.clone(), task.clone());
                let meeting = (backend(self.device), store, Rc::clone(&steps));
                let gang = gang(place, meeting, (announce, tell), move || waits(0, 0));
                let gang = GangContext { checkpoint, ..gang };
                let ended = (self.programs.gang)(program, &ctx, gang, &mut self.memory);
                steps.finish(ended.is_ok());
                ended
            }
        }
    }
}

/// The store at a root, opened only when the root is not the last task's.
fn blobs(open: &mut Option<(String, Arc<Blobs>)>, root: String) -> Result<&Arc<Blobs>, Fault> {
    let store = match open.take() {
        Some((last, store)) if last == root => store,
        Some(_) | None => Arc::new(Blobs::open(&root)?),
    };
    Ok(&open.insert((root, store)).1)
}

/// A lost agent is noticed by the listener.
fn announce(link: Link, task: TaskId) -> Announce {
    Arc::new(move |step, blob| {
        let checkpoint = Checkpoint { step, blob };
        drop(link.send(&FromExecutor::Checkpoint { task: task.clone(), checkpoint }));
    })
}

fn tell(link: Link, task: TaskId) -> Tell {
    Arc::new(move |place| {
        drop(link.send(&FromExecutor::Whereabouts { task: task.clone(), place }));
    })
}

/// What carries a gang of workers on this kind of device.
fn backend(device: Device) -> Backend {
    match device {
        Device::Cuda(number) => Backend::Nccl { device: number as u32 },
        Device::Cpu | Device::Mps | Device::Vulkan => {
            Backend::Gloo { host: std::env::var(HOST_VARIABLE).unwrap_or_else(|_| "127.0.0.1".to_owned()) }
        }
    }
}

fn gang<'a>(
    place: Place,
    (backend, store, steps): (Backend, AgentStore, Rc<Steps>),
    (announce, tell): (Announce, Tell),
    waits: impl Fn() + 'a,
) -> GangContext<'a> {
    let Place { generation, rank, world_size, timeout_ms } = place;
    let timeout = Duration::from_millis(timeout_ms);
    let options = GroupOptions { rank, world_size, backend, timeout };
    let connect: Connect<'a> = Box::new(move || {
        let ready = meet(&store, rank, world_size, timeout / LOOKS_A_TIMEOUT, waits);
        ready.map_err(|error| CollectiveError::Other { operation: "meet", detail: error.to_string() })?;
        Ok(Box::new(Timed::new(Box::new(Group::connect(Arc::new(store), &options)?), steps)))
    });
    GangContext { rank, world_size, generation, timeout, connect: Some(connect), checkpoint: None, announce, tell }
}

/// Reports progress at most once an interval. A lost agent is noticed by the listener.
fn reporter(link: Link, task: TaskId) -> impl Fn(u64, u64) {
    let last = Cell::new(None::<Instant>);
    move |done, total| {
        let due = last.get().is_none_or(|at| at.elapsed() >= PROGRESS_INTERVAL);
        if due || done == total {
            last.set(Some(Instant::now()));
            drop(link.send(&FromExecutor::Progress { task: task.clone(), done, total }));
        }
    }
}

/// tch panics with a C++ backtrace, of which only the first line is of use.
fn first_line(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied());
    text.and_then(|text| text.lines().next()).unwrap_or("with a payload that is no text")
}
