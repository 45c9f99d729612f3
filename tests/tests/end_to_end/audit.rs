//! One `lethe audit` as a child process: started, heard, interrupted, ended by a deadline.
//!
//! It must never outlive its test: dropping it kills the command, and its own children end with it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::drill::Drill;

/// Every wait of a test ends by then. An audit here takes seconds; a machine may be busy.
pub const DEADLINE: Duration = Duration::from_secs(180);

pub struct Audit {
    child: Child,
    lines: Receiver<String>,
    heard: Vec<String>,
    result: PathBuf,
}

/// How a command ended, and what it said on stderr.
pub struct Ended {
    pub status: ExitStatus,
    pub said: String,
}

impl Audit {
    /// Starts `lethe audit SPEC --out RESULT`.
    pub fn start(spec: &Path, result: PathBuf) -> Self {
        let mut command = Command::new(binary("lethe"));
        command.arg("audit").arg(spec).arg("--out").arg(&result);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
        let stderr = BufReader::new(child.stderr.take().expect("is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
        Self { child, lines, heard: Vec::new(), result }
    }

    /// Runs one to its end.
    pub fn run(drill: &Drill, spec: &Path, result: &str) -> Ended {
        Self::start(spec, drill.path(result)).end()
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    pub fn result(&self) -> &Path {
        &self.result
    }

    /// Waits until the command says a line that begins so.
    pub fn wait_for_line(&mut self, begin: &str) {
        let by = Instant::now() + DEADLINE;
        while !self.hear(by).is_some_and(|line| line.starts_with(begin)) {
            assert!(Instant::now() < by && self.is_up(), "waited for a line {begin:?}; {}", self.account());
        }
    }

    pub fn interrupt(&self) {
        kill(self.pid(), Signal::SIGINT).expect("is interrupted");
    }

    /// Waits for the command's end.
    pub fn end(mut self) -> Ended {
        let by = Instant::now() + DEADLINE;
        while self.hear(by).is_some() {}
        assert!(Instant::now() < by, "it did not end within {DEADLINE:?}; {}", self.account());
        let status = self.child.wait().expect("is waited for");
        Ended { status, said: self.heard.join("\n") }
    }

    /// What it said and what its processes logged, for a failure's message.
    pub fn account(&self) -> String {
        format!("it said:\n{}\n{}", self.heard.join("\n"), logs(&self.result))
    }

    /// The log of one process of the audit.
    pub fn log(&self, process: &str) -> String {
        std::fs::read_to_string(self.result.join(".lethe/logs").join(format!("{process}.log"))).unwrap_or_default()
    }

    /// The next line, or `None` at the end of its stderr or at the deadline.
    fn hear(&mut self, by: Instant) -> Option<String> {
        match self.lines.recv_timeout(by.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                self.heard.push(line.clone());
                Some(line)
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }

    fn is_up(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        // Both fail where it has ended, which is what is wanted.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The end of every log of an audit.
fn logs(result: &Path) -> String {
    let folder = result.join(".lethe/logs");
    let entries = std::fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok);
    let tail = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!("{}:\n{}\n", path.display(), lines[lines.len().saturating_sub(20)..].join("\n"))
    };
    entries.map(|entry| tail(entry.path())).collect()
}

/// A binary of this build: it lies above the folder of the tests' own.
pub fn binary(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("has a path");
    let mut folders = own.ancestors().skip(1);
    let complete =
        |folder: &&Path| ["lethe", "lethe-coordinator", "lethe-worker"].iter().all(|b| folder.join(b).is_file());
    let folder = folders.find(complete).unwrap_or_else(|| {
        panic!("no lethe, lethe-coordinator and lethe-worker lie above {}; build them with `make build`", own.display())
    });
    folder.join(name)
}
