//! One thread that starts children and lives as long as they may: the kernel kills them when it ends.
//!
//! It must never start a child on another thread: Linux ties a parent's death to the thread, and those
//! of tests and of async runtimes come and go.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::mpsc;
use std::thread::JoinHandle;

use nix::sys::prctl;
use nix::sys::signal::Signal;

type Order = (Command, mpsc::Sender<io::Result<Child>>);

#[derive(Debug)]
pub(crate) struct Spawner {
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Spawner {
    pub fn new() -> Self {
        let (orders, queue) = mpsc::channel::<Order>();
        let thread = std::thread::spawn(move || {
            for (mut command, reply) in queue {
                drop(reply.send(command.spawn())); // the asker may be gone
            }
        });
        Self { orders: Some(orders), thread: Some(thread) }
    }

    pub fn spawn(&self, mut command: Command) -> io::Result<Child> {
        // SAFETY: prctl is async-signal-safe and allocates nothing.
        unsafe { command.pre_exec(|| prctl::set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from)) };
        let (reply, answer) = mpsc::channel();
        let orders = self.orders.as_ref().expect("is there until the drop");
        orders.send((command, reply)).expect("the thread lives until the drop");
        answer.recv().expect("the thread answers each order")
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join()); // it holds nothing that a panic could break
        }
    }
}
