//! Logs: text or JSON, always on stderr, levels from `LETHE_LOG`; and what a terminal may be sent beside plain text.
//!
//! It must never write an escape code into a file or a pipe. A line that is about a task is said within [`task`], so that its ids are fields and not words of a sentence.

use std::io::IsTerminal;

use lethe_common::ids::TaskId;
use tracing::Span;
use tracing_subscriber::EnvFilter;

use crate::Trace;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl LogFormat {
    /// As `--log-json` says.
    pub fn of(is_json: bool) -> Self {
        if is_json { Self::Json } else { Self::Text }
    }
}

/// Installs the process's subscriber; a second call changes nothing.
pub fn init(format: LogFormat, default_level: &str) {
    let filter = EnvFilter::try_from_env("LETHE_LOG").unwrap_or_else(|_| EnvFilter::new(default_level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(may_style()).with_writer(std::io::stderr);
    let installed = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().with_span_list(false).try_init(),
    };
    drop(installed); // an earlier subscriber stays
}

/// Whether stderr is a terminal whose user wants colours and moving lines (no-color.org).
pub fn may_style() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    std::io::stderr().is_terminal() && !refused && !dumb
}

/// What every line about a task carries. `worker` is who has it; `trace` is its audit's, where that has one.
pub fn task(task: &TaskId, worker: &str, trace: Option<Trace>) -> Span {
    let TaskId { audit, phase, shard, attempt } = task;
    let span = tracing::error_span!("task", %audit, %phase, %shard, %attempt, worker, trace = tracing::field::Empty);
    if let Some(trace) = trace {
        span.record("trace", trace.id());
    }
    span
}
