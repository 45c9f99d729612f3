//! The processes below an audit, as /proc shows them.
//!
//! It must never act on a process by name: only on one that it found below a process of the test's own.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::audit::DEADLINE;

/// A process: its id, when it started (so that an id used again is another process), its command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pid: i32,
    parent: i32,
    started: u64,
    pub words: Vec<String>,
}

impl Process {
    /// Absent where it ended, or ended and was not waited for yet.
    fn read(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(file(pid, "stat")).ok()?;
        // The name in brackets may hold anything; what follows the last bracket is plain.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let (state, parent, started) = (fields.first()?, fields.get(1)?, fields.get(19)?);
        let words = fs::read(file(pid, "cmdline")).ok()?;
        let words = words.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        let process = Self { pid, parent: parent.parse().ok()?, started: started.parse().ok()?, words };
        (*state != "Z" && *state != "X").then_some(process)
    }

    fn is_up(&self) -> bool {
        Self::read(self.pid).is_some_and(|now| now.started == self.started)
    }

    pub fn is_executor(&self) -> bool {
        self.is("lethe-worker") && self.words.iter().any(|word| word == "--executor")
    }

    pub fn is(&self, binary: &str) -> bool {
        self.words.first().is_some_and(|path| path.ends_with(&format!("/{binary}")))
    }

    /// The value of a variable that the process was started with.
    pub fn variable(&self, name: &str) -> Option<String> {
        let block = fs::read(file(self.pid, "environ")).ok()?;
        let begin = format!("{name}=");
        let texts = block.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        texts.filter_map(|text| text.strip_prefix(&begin).map(str::to_owned)).next()
    }

    pub fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid), signal).unwrap_or_else(|e| panic!("{self:?} cannot be sent {signal}: {e}"));
    }
}

fn file(pid: i32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

/// Every process below one, its children first.
pub fn below(pid: Pid) -> Vec<Process> {
    let ids = fs::read_dir("/proc")
        .expect("this test needs Linux's /proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let all: Vec<Process> = ids.filter_map(Process::read).collect();
    let mut found: Vec<Process> = Vec::new();
    let mut parents = vec![pid.as_raw()];
    while let Some(parent) = parents.pop() {
        let children = all.iter().filter(|process| process.parent == parent);
        for child in children {
            parents.push(child.pid);
            found.push(child.clone());
        }
    }
    found
}

/// Waits until none of these is left. A killed process takes the kernel a moment.
pub fn wait_until_gone(processes: &[Process]) {
    let by = Instant::now() + DEADLINE;
    while let Some(left) = processes.iter().find(|process| process.is_up()) {
        assert!(Instant::now() < by, "{left:?} is still there");
        std::thread::yield_now();
    }
}
