//! The executor's process: started, fed, heard, killed.
//!
//! It must never decide why: the desk does. Its standard output is our standard error, so that nothing
//! a library prints can be taken for a frame.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use super::TOKEN_VARIABLE;
use crate::frame::{self, FromExecutor, ToExecutor};

/// How an executor is started.
#[derive(Debug, Clone)]
pub struct ExecutorCommand {
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    pub variables: Vec<(String, String)>,
}

#[derive(Debug)]
pub(super) enum ExecutorEvent {
    Frame(FromExecutor),
    /// The last event of a process: how it ended.
    Exited(String),
}

/// One process. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Executor {
    /// Unbounded, since the desk sends one task at a time and answers what was asked.
    outbox: mpsc::UnboundedSender<ToExecutor>,
    kill: Option<oneshot::Sender<()>>,
}

impl Executor {
    /// Starts a process; its events arrive at `events` until `Exited`. It dies with the calling thread.
    pub(super) fn start(command: &ExecutorCommand, events: mpsc::Sender<ExecutorEvent>) -> io::Result<Self> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let child = Command::new(&command.program)
            .args(&command.arguments)
            .envs(command.variables.iter().map(|(name, value)| (name, value)))
            .env_remove(TOKEN_VARIABLE)
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::from(io::stderr().as_fd().try_clone_to_owned()?))
            // Ctrl-C in a terminal is for the agent, which hands its task back first.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let (reader, writer) = UnixStream::from_std(ours)?.into_split();
        let (outbox, messages) = mpsc::unbounded_channel();
        let (kill, killed) = oneshot::channel();
        tokio::spawn(feed(writer, messages));
        tokio::spawn(attend(child, reader, killed, events));
        Ok(Self { outbox, kill: Some(kill) })
    }

    /// A way to this process, and to no later one.
    pub(super) fn sender(&self) -> Sender {
        Sender(self.outbox.clone())
    }

    pub(super) fn kill(&mut self) {
        if let Some(kill) = self.kill.take() {
            let _ = kill.send(()); // fails where it has just ended
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Sender(mpsc::UnboundedSender<ToExecutor>);

impl Sender {
    /// A message to a process that is gone is dropped; its `Exited` is on the way.
    pub(super) fn send(&self, message: ToExecutor) {
        drop(self.0.send(message));
    }
}

async fn feed(mut writer: OwnedWriteHalf, mut messages: mpsc::UnboundedReceiver<ToExecutor>) {
    while let Some(message) = messages.recv().await {
        if let Err(error) = frame::write_async(&mut writer, &message).await {
            warn!(%error, "a message for the executor could not be written; it is ended");
            return; // the reader sees the end too
        }
    }
}

/// Passes frames on until the process closes its end or is to be killed, then reaps it.
async fn attend(
    mut child: Child,
    reader: OwnedReadHalf,
    killed: oneshot::Receiver<()>,
    events: mpsc::Sender<ExecutorEvent>,
) {
    tokio::select! {
        () = hear(reader, &events) => {}
        _ = killed => {}
    }
    // Where it only closed its socket or broke the framing it is of no more use, and this ends it.
    drop(child.start_kill());
    let how = match child.wait().await {
        Ok(status) => describe(status),
        Err(error) => format!("could not be waited for: {error}"),
    };
    drop(events.send(ExecutorEvent::Exited(how)).await); // nobody listens at the agent's own end
}

async fn hear(mut reader: OwnedReadHalf, events: &mpsc::Sender<ExecutorEvent>) {
    loop {
        match frame::read_async(&mut reader).await {
            Ok(message) => {
                if events.send(ExecutorEvent::Frame(message)).await.is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return,
            Err(error) => return tracing::error!(%error, "cannot read the executor's frames"),
        }
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("died with signal {signal}"),
        (None, Some(code)) => format!("ended with exit code {code}"),
        (None, None) => format!("ended with {status}"),
    }
}
