//! One process of a cluster: its log, its signals, its end.
//!
//! It must never outlive its test: the kernel kills it with the thread that started it.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Lines of a log that a failure shows.
const SHOWN_LINES: usize = 30;

pub struct Part {
    pub name: String,
    child: Child,
    log: PathBuf,
}

impl Part {
    /// Starts a process that logs to `NAME.log` in a folder, after what an earlier one of the name wrote there.
    pub fn start(name: &str, mut command: Command, logs: &Path) -> Self {
        let log = logs.join(format!("{name}.log"));
        let stderr = File::options().create(true).append(true).open(&log).expect("opens a log");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        // SAFETY: prctl is async-signal-safe and allocates nothing.
        unsafe { command.pre_exec(|| prctl::set_pdeathsig(Signal::SIGKILL).map_err(std::io::Error::from)) };
        let child = command.spawn().unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        Self { name: name.to_owned(), child, log }
    }

    pub fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("is piped, and taken once")
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().expect("a pid is an i32"))
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap_or_else(|e| panic!("{} cannot be sent {signal}: {e}", self.name));
    }

    /// SIGKILL, and the proof that this is what ended it.
    pub fn kill(&mut self) {
        use std::os::unix::process::ExitStatusExt;
        assert!(self.is_up(), "{} ended by itself before it could be killed", self.name);
        self.child.kill().expect("is killed");
        let status: ExitStatus = self.child.wait().expect("is waited for");
        assert_eq!(status.signal(), Some(Signal::SIGKILL as i32), "{} ended otherwise", self.name);
    }

    pub fn is_up(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    pub fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        format!("--- {}:\n{}\n", self.name, lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n"))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Both fail where it has ended, which is what is wanted.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
