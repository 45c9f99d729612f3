//! Shows how an audit gets on: live bars on a terminal, log lines elsewhere. Always on stderr.
//!
//! It must never count work itself: progress, rates and ends come from the coordinator's view of committed work.

mod bars;
mod lines;
pub mod phase;

use anyhow::{Context, bail};
use lethe_proto::v1::{AuditView, RunState, WatchAuditReply};
use lethe_telemetry::logs;
use tonic::Streaming;

use bars::Bars;
use lines::Lines;

/// How a view is shown.
pub enum Display {
    Live(Bars),
    Plain(Lines),
}

impl Display {
    /// Bars where a person watches, lines where a file or a pipe does.
    pub fn choose() -> Self {
        if logs::may_style() { Self::Live(Bars::new()) } else { Self::Plain(Lines::default()) }
    }

    /// A line of its own beside the progress.
    pub fn say(&self, text: &str) {
        match self {
            Self::Live(bars) => bars.say(text),
            Self::Plain(_) => eprintln!("{text}"),
        }
    }

    pub fn show(&mut self, view: &AuditView) {
        match self {
            Self::Live(bars) => bars.show(view),
            Self::Plain(lines) => lines.show(view),
        }
    }

    /// Leaves the terminal as a person expects it.
    pub fn finish(self) {
        match self {
            Self::Live(bars) => bars.finish(),
            Self::Plain(_) => {}
        }
    }
}

/// Shows every view until the audit ends, and returns the last.
pub async fn follow(mut views: Streaming<WatchAuditReply>, display: &mut Display) -> anyhow::Result<AuditView> {
    while let Some(reply) = views.message().await.context("the coordinator's stream of views broke")? {
        let Some(view) = reply.audit else { bail!("the coordinator sent a view without an audit") };
        display.show(&view);
        match view.state() {
            RunState::Succeeded | RunState::Failed | RunState::Cancelled => return Ok(view),
            RunState::Pending | RunState::Running | RunState::Paused | RunState::Unspecified => {}
        }
    }
    bail!("the coordinator's stream of views ended before the audit did")
}
