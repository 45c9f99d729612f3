//! One child process: its log, its end, and what to show of both when it fails.
//!
//! It must never leave a child behind: dropping one kills it, closing its stdin asks it to end.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::token::Token;

/// How long a child may take to end once it was asked to.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// Lines of a failed child's log that are shown.
const TAIL_LINES: usize = 15;

/// How to start a child.
#[derive(Debug, Clone)]
pub struct Launch {
    pub name: String,
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    pub stdout: Stdout,
    /// Where its stderr goes.
    pub log: PathBuf,
    pub token: Token,
}

/// What becomes of a child's stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdout {
    /// We read it.
    Read,
    /// Nobody does; a pipe that nobody reads would block the child when it is full.
    Discard,
}

pub struct Process {
    child: Child,
    /// Held here, since waiting for a child closes the stdin that it still has.
    stdin: Option<ChildStdin>,
    name: String,
    log: PathBuf,
}

pub fn words<const N: usize>(words: [&str; N]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

impl Process {
    pub fn start(launch: &Launch) -> anyhow::Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(&launch.log);
        let log = log.with_context(|| format!("cannot write the log {}", launch.log.display()))?;
        let stdout = match launch.stdout {
            Stdout::Read => Stdio::piped(),
            Stdout::Discard => Stdio::null(),
        };
        let mut child = Command::new(&launch.program)
            .args(&launch.arguments)
            .env("LETHE_TOKEN", launch.token.as_str())
            // A cluster of our own speaks on loopback, whatever the user's shell has for another.
            .env_remove("LETHE_TLS")
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(log)
            // A group of its own: Ctrl-C on the terminal reaches us alone, and we stop the children in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", launch.program.display()))?;
        let stdin = child.stdin.take();
        Ok(Self { child, stdin, name: launch.name.clone(), log: launch.log.clone() })
    }

    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// SIGKILL, and waits for the end.
    pub async fn kill(&mut self) {
        // It may have ended already, which is what we want.
        let _ = self.child.kill().await;
    }

    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Waits for the child's end; may be called again after it was cancelled.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Closes its stdin and sends SIGTERM; kills it when it does not end in time.
    pub async fn stop(&mut self) {
        drop(self.stdin.take());
        if let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            // The child may have ended already, which is what we want.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        if tokio::time::timeout(STOP_DEADLINE, self.child.wait()).await.is_err() {
            tracing::warn!("{} did not end within {} s and is killed", self.name, STOP_DEADLINE.as_secs());
            let _ = self.child.kill().await;
        }
    }

    /// One paragraph on how the child ended, with the end of its log.
    pub fn post_mortem(&self, status: &io::Result<ExitStatus>) -> String {
        let how = match status {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        format!("{} ended unexpectedly ({how}){}", self.name, self.log_tail())
    }

    /// The last lines of the child's log, introduced by its path.
    pub fn log_tail(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        format!("; the end of {}:\n  {}", self.log.display(), tail.join("\n  "))
    }
}
