//! Logs: text on a terminal, JSON where asked, always on stderr, levels from `LETHE_LOG`.
//!
//! A line that is about a task is said within [`task`], so that its ids are fields and not words of a sentence.

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
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let installed = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().with_span_list(false).try_init(),
    };
    drop(installed); // an earlier subscriber stays
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
