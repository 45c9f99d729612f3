//! The shard of the task that probably runs next, opened while another one computes: so that the device need not wait for
//! a digest, a connection and the first pictures.
//!
//! It must never change what a task gives, nor make anyone wait but the task that wants its shard.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
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

pub(super) struct Ahead {
    open: Open,
    opening: Option<Opening>,
}

/// A task's shard, which was opened or is about to be.
pub(super) struct Opening {
    task: TaskId,
    /// None once somebody has it.
    shard: Option<JoinHandle<Option<Prefetch>>>,
}

impl Ahead {
    pub(super) fn new(open: Open) -> Self {
        Self { open, opening: None }
    }

    /// Begins to open a task's shard, in the place of any other.
    pub(super) fn expect(&mut self, run: RunTask) {
        let (open, task) = (self.open, run.task.clone());
        let shard = thread::Builder::new().name("ahead".to_owned()).spawn(move || opened(open, run));
        // Without a thread the task opens its shard itself.
        self.opening = shard.ok().map(|shard| Opening { task, shard: Some(shard) });
    }

    /// What is opened for a task; whatever is opened for another one is let go.
    pub(super) fn claim(&mut self, task: &TaskId) -> Option<Opening> {
        self.opening.take().filter(|opening| opening.task == *task)
    }
}

impl Opening {
    /// Waits for it, which is no slower than to begin now.
    pub(super) fn shard(mut self) -> Option<Prefetch> {
        self.shard.take()?.join().ok().flatten()
    }
}

impl Drop for Opening {
    /// A shard that nobody wants is closed by a thread of its own: closing waits for whoever reads it, who may wait for a server.
    fn drop(&mut self) {
        if let Some(shard) = self.shard.take() {
            drop(thread::Builder::new().name("close".to_owned()).spawn(move || drop(shard.join())));
        }
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
    use std::sync::atomic::Ordering;
    use std::time::Duration;

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
        let mut ahead = Ahead::new(open);
        let keys = |ahead: &mut Ahead, counter| {
            let shard = ahead.claim(&sample_id(counter)).and_then(Opening::shard);
            shard.map(|mut shard| shard.next().map(|read| read.expect_err("is broken").key))
        };
        assert_eq!(keys(&mut ahead, 1), None, "nothing was expected");
        ahead.expect(run(folder.path(), 1));
        ahead.expect(run(folder.path(), 2));
        assert_eq!(keys(&mut ahead, 2), Some(Some("2".to_owned())), "the last one counts");
        assert_eq!(keys(&mut ahead, 2), None, "it was taken");
        ahead.expect(run(folder.path(), 3));
        assert_eq!(keys(&mut ahead, 4), None, "another ran in its place");
        assert_eq!(keys(&mut ahead, 3), None, "and it was let go");
        ahead.expect(run(folder.path(), 9));
        assert_eq!(keys(&mut ahead, 9), None, "the task tells what is wrong");
    }

    /// Between two looks at what another thread does.
    const LOOK: Duration = Duration::from_millis(1);

    /// A server that says nothing must not keep an abort from getting through.
    #[test]
    fn nobody_waits_for_a_shard_that_is_let_go() {
        static ENDS: AtomicBool = AtomicBool::new(false);
        fn stalled(_: MapProgram, _: &TaskContext<'_>) -> Result<Option<Prefetch>, Fault> {
            let bad = std::iter::from_fn(|| {
                while !ENDS.load(Ordering::SeqCst) {
                    thread::sleep(LOOK);
                }
                None::<Result<lethe_data::Sample, BadSample>>
            });
            Ok(Some(decode_shard(bad, Target::exact(8), 1, 1)))
        }
        let (done, waited) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let folder = tempfile::tempdir().expect("makes a folder");
            let mut ahead = Ahead::new(stalled);
            ahead.expect(run(folder.path(), 1));
            let shard =
                |ahead: &Ahead| ahead.opening.as_ref().and_then(|one| one.shard.as_ref()).map(JoinHandle::is_finished);
            while shard(&ahead) != Some(true) {
                thread::sleep(LOOK);
            }
            ahead.expect(run(folder.path(), 2));
            let claimed = ahead.claim(&sample_id(3)).is_some();
            done.send(claimed)
        });
        let claimed = waited.recv_timeout(Duration::from_secs(60));
        ENDS.store(true, Ordering::SeqCst);
        assert_eq!(claimed, Ok(false), "somebody waited for the server");
    }
}
