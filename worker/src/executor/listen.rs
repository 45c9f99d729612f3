//! The thread that listens to the agent while the other computes.
//!
//! It must never call torch or wait for the other thread: an abort has to get through at any time.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use lethe_common::ids::TaskId;

use super::ahead::{Ahead, Opening};
use super::link::Link;
use crate::frame::{self, RunTask, ToExecutor};

/// A task, its shard where that was opened ahead, and the flag that tells it to stop.
pub(super) struct Assignment {
    pub(super) run: RunTask,
    pub(super) opening: Option<Opening>,
    pub(super) cancelled: Arc<AtomicBool>,
}

pub(super) fn start(link: &Link, tasks: Sender<Assignment>, ahead: Ahead) -> std::io::Result<()> {
    let listener = Listener { link: link.clone(), tasks, ahead, current: None };
    let socket = link.reader()?;
    std::thread::Builder::new().name("listen".to_owned()).spawn(move || listener.run(socket))?;
    Ok(())
}

struct Listener {
    link: Link,
    tasks: Sender<Assignment>,
    ahead: Ahead,
    /// The last task that was handed over; it may have ended since.
    current: Option<(TaskId, Arc<AtomicBool>)>,
}

impl Listener {
    fn run(mut self, mut socket: UnixStream) {
        loop {
            match frame::read(&mut socket) {
                Ok(message) => self.take(message),
                Err(error) => end(&error),
            }
        }
    }

    fn take(&mut self, message: ToExecutor) {
        match message {
            ToExecutor::Run(run) => self.assign(run),
            ToExecutor::Expect(run) => self.ahead.expect(run),
            ToExecutor::Abort { task } => self.abort(&task),
            ToExecutor::RendezvousReply { call, reply } => self.link.reply(call, reply),
        }
    }

    fn assign(&mut self, run: RunTask) {
        let cancelled = Arc::new(AtomicBool::new(false));
        self.current = Some((run.task.clone(), cancelled.clone()));
        let opening = self.ahead.claim(&run.task);
        // The other thread is gone only while the process ends.
        drop(self.tasks.send(Assignment { run, opening, cancelled }));
    }

    /// The flag first, so that a call which opens now sees it.
    fn abort(&self, task: &TaskId) {
        if let Some((current, cancelled)) = &self.current
            && current == task
        {
            cancelled.store(true, Ordering::SeqCst);
            self.link.drop_calls();
        }
    }
}

/// The agent is gone, or speaks another version: nobody is left to work for.
fn end(error: &std::io::Error) -> ! {
    let clean = error.kind() == std::io::ErrorKind::UnexpectedEof;
    if !clean {
        tracing::error!(%error, "lost the agent");
    }
    // SAFETY: always sound. Destructors are skipped on purpose: torch's, run while the other thread computes, crash.
    unsafe { libc::_exit(if clean { 0 } else { 1 }) }
}
