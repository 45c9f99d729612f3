//! The executor's end of the socket to its agent, shared by its threads.
//!
//! It must never be standard output: whatever a library prints there would damage a frame.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::frame::{self, FromExecutor, RendezvousReply};

/// Clones share the socket.
#[derive(Debug, Clone)]
pub(super) struct Link {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    socket: Mutex<UnixStream>,
    calls: Mutex<Calls>,
}

/// Rendezvous calls that wait for their reply.
#[derive(Debug, Default)]
struct Calls {
    next: u64,
    waiting: BTreeMap<u64, SyncSender<RendezvousReply>>,
}

impl Link {
    pub(super) fn from_stdin() -> io::Result<Self> {
        let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        socket.peer_addr()?; // fails for anything but a connected socket
        Ok(Self { shared: Arc::new(Shared { socket: Mutex::new(socket), calls: Mutex::default() }) })
    }

    /// A second handle, for the one thread that reads.
    pub(super) fn reader(&self) -> io::Result<UnixStream> {
        lock(&self.shared.socket).try_clone()
    }

    pub(super) fn send(&self, message: &FromExecutor) -> io::Result<()> {
        frame::write(&mut *lock(&self.shared.socket), message)
    }

    /// A number for a call, and where its reply will arrive.
    pub(super) fn open_call(&self) -> (u64, Receiver<RendezvousReply>) {
        let (reply, arrives) = sync_channel(1);
        let mut calls = lock(&self.shared.calls);
        calls.next += 1;
        let call = calls.next;
        calls.waiting.insert(call, reply);
        (call, arrives)
    }

    pub(super) fn close_call(&self, call: u64) {
        lock(&self.shared.calls).waiting.remove(&call);
    }

    /// Hands a reply to its call; one that waits no more is dropped.
    pub(super) fn reply(&self, call: u64, reply: RendezvousReply) {
        if let Some(waiting) = lock(&self.shared.calls).waiting.remove(&call) {
            let taken = waiting.try_send(reply);
            debug_assert!(taken.is_ok(), "a fresh channel of one has room");
        }
    }

    /// Wakes every waiting call with an error, since its task was aborted.
    pub(super) fn drop_calls(&self) {
        lock(&self.shared.calls).waiting.clear();
    }
}

/// A panic of another holder leaves both values whole: a frame is one write, a call one insertion.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
