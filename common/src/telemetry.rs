//! Logs: text or JSON, always on stderr, levels from `LETHE_LOG`; and what a terminal may be sent beside plain text.
//!
//! It must never write an escape code into a file or a pipe.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// Installs the process's subscriber; a second call changes nothing.
pub fn init(format: LogFormat, default_level: &str) {
    let filter = EnvFilter::try_from_env("LETHE_LOG").unwrap_or_else(|_| EnvFilter::new(default_level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(may_style()).with_writer(std::io::stderr);
    let installed = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    drop(installed); // an earlier subscriber stays
}

/// Whether stderr is a terminal whose user wants colours and moving lines (no-color.org).
pub fn may_style() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    std::io::stderr().is_terminal() && !refused && !dumb
}
