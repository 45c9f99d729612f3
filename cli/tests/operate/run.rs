//! Runs `lethe` and keeps what it said.

use std::process::{Command, Output};

use lethe_proto::v1::{AuditView, Conclusion, PhaseKind, PhaseView, RunState};

pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    /// What it printed, where it ended well.
    pub fn well(self) -> String {
        assert_eq!(self.code, 0, "{}", self.err);
        self.out
    }

    /// Its error, where it ended with `code`.
    pub fn error(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self.err
    }

    pub fn json(self) -> serde_json::Value {
        let text = self.well();
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
    }
}

/// `lethe ARGUMENTS` with these coordinators, and no token.
pub fn lethe(coordinators: &[&str], arguments: &[&str]) -> Said {
    said(command(coordinators, arguments))
}

pub fn command(coordinators: &[&str], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lethe"));
    command.args(arguments).env("LETHE_COORDINATOR", coordinators.join(",")).env("USER", "ann");
    command.env_remove("LETHE_TOKEN").env_remove("LETHE_TLS");
    command
}

pub fn said(mut command: Command) -> Said {
    let Output { status, stdout, stderr } = command.output().expect("runs");
    let text = |bytes| String::from_utf8(bytes).expect("is UTF-8");
    Said { code: status.code().expect("ends by itself"), out: text(stdout), err: text(stderr) }
}

/// An audit of two phases, the second in `state`.
pub fn march(state: RunState) -> AuditView {
    let phase = |name: &str, kind: PhaseKind, state: RunState, total| PhaseView {
        name: name.to_owned(),
        kind: kind.into(),
        state: state.into(),
        done: if state == RunState::Succeeded { total } else { 0 },
        total,
        ..PhaseView::default()
    };
    AuditView {
        audit: "march".to_owned(),
        state: state.into(),
        phases: vec![
            phase("plan", PhaseKind::Reduce, RunState::Succeeded, 1),
            phase("score", PhaseKind::Map, state, 100),
        ],
        submitter: "ann".to_owned(),
        ..AuditView::default()
    }
}

/// The same, ended with a verdict.
pub fn concluded(verdict: &str, headline: &str) -> AuditView {
    let conclusion = Conclusion { verdict: verdict.to_owned(), headline: headline.to_owned() };
    AuditView { conclusion: Some(conclusion), ..march(RunState::Succeeded) }
}
