//! The shard of the task that probably runs next, opened while another one computes: so that the device need not wait for
//! a digest, a connection and the first pictures.
//!
//! It must never change what a task gives, nor make anyone wait but the task that wants its shard.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use lethe_common::fault::Fault;
use lethe_common::ids::TaskId;
use lethe_common::program::MapProgram;
use lethe_common::spec::Spec;
use lethe_data::Prefetch;
use lethe_model::tch::Device;

use crate::frame::{RunTask, Work};
use crate::task::{Blobs, Kept, TaskContext};

/// Opens a task's shard; `None` of a program that reads no whole one.
pub type Open = fn(MapProgram, &TaskContext<'_>) -> Result<Option<Prefetch>, Fault>;

/// Clones share the one place.
#[derive(Clone)]
pub(super) struct Ahead {
    open: Open,
    place: Arc<Mutex<Option<Opening>>>,
}

struct Opening {
    task: TaskId,
    shard: JoinHandle<Option<Prefetch>>,
}

impl Ahead {
    pub(super) fn new(open: Open) -> Self {
        Self { open, place: Arc::default() }
    }

    /// Begins to open a task's shard, in the place of any other.
    pub(super) fn expect(&self, run: RunTask) {
        let (open, task) = (self.open, run.task.clone());
        let shard = thread::Builder::new().name("ahead".to_owned()).spawn(move || opened(open, run));
        // Without a thread the task opens its shard itself.
        *self.lock() = shard.ok().map(|shard| Opening { task, shard });
    }

    /// The task's shard, where it was opened, or is about to be: that is no slower than to begin now. What was opened for
    /// another task is let go.
    pub(super) fn take(&self, task: &TaskId) -> Option<Prefetch> {
        let opening = self.lock().take();
        opening.filter(|opening| opening.task == *task)?.shard.join().ok().flatten()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Opening>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What goes wrong here goes wrong again in the task, which tells it.
fn opened(open: Open, run: RunTask) -> Option<Prefetch> {
    let RunTask { task, work, spec_json, inputs, batch_halvings, blob_root, traceparent: _ } = run;
    let Work::Map { program } = work else { return None };
    let spec: Spec = serde_json::from_str(&spec_json).ok()?;
    let ctx = TaskContext {
        task,
        spec,
        inputs,
        batch_halvings,
        device: Device::Cpu, // no program that opens a shard asks
        blobs: &Arc::new(Blobs::open(&blob_root).ok()?),
        kept: &Kept::default(),
        opened: None.into(),
        progress: &|_, _| (),
        cancelled: &AtomicBool::new(false),
    };
    open(program, &ctx).ok().flatten()
}

#[cfg(test)]
mod tests {
    use lethe_data::{BadSample, Target, decode_shard};

    use super::*;
    use crate::task::{plain_spec, sample_id};

    /// Of one sample, which says whose shard it is.
    fn open(_: MapProgram, ctx: &TaskContext<'_>) -> Result<Option<Prefetch>, Fault> {
        let sample = BadSample { key: ctx.task.attempt.counter.to_string(), reason: String::new() };
        if ctx.task.attempt.counter == 9 {
            return Err(Fault::retryable("it is gone"));
        }
        Ok(Some(decode_shard(std::iter::once(Err(sample)), Target::exact(8), 1, 1)))
    }

    fn run(folder: &std::path::Path, counter: u64) -> RunTask {
        RunTask {
            task: sample_id(counter),
            work: Work::Map { program: MapProgram::Score },
            spec_json: serde_json::to_string(&plain_spec(1)).expect("is JSON"),
            inputs: Vec::new(),
            batch_halvings: 0,
            blob_root: format!("file://{}", folder.display()),
            traceparent: None,
        }
    }

    #[test]
    fn a_task_gets_its_own_shard_or_none() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let ahead = Ahead::new(open);
        let keys = |counter| {
            ahead.take(&sample_id(counter)).map(|mut shard| shard.next().map(|read| read.expect_err("is broken").key))
        };
        assert_eq!(keys(1), None, "nothing was expected");
        ahead.expect(run(folder.path(), 1));
        ahead.expect(run(folder.path(), 2));
        assert_eq!(keys(2), Some(Some("2".to_owned())), "the last one counts");
        assert_eq!(keys(2), None, "it was taken");
        ahead.expect(run(folder.path(), 3));
        assert_eq!(keys(4), None, "another ran in its place");
        assert_eq!(keys(3), None, "and it was let go");
        ahead.expect(run(folder.path(), 9));
        assert_eq!(keys(9), None, "the task tells what is wrong");
    }
}
