//! Why a server could not be started, with the end of its log.
//!
//! It must never hide the server's own words.

use std::path::{Path, PathBuf};

/// Lines of a server's log that an error shows.
const SHOWN_LINES: usize = 15;

#[derive(Debug, thiserror::Error)]
pub enum ServersError {
    #[error("no etcd: ETCD is not set and there is none on PATH; run scripts/etcd.sh and set ETCD to what it prints")]
    NoEtcd,
    #[error("no server for buckets: MOTO_SERVER is not set; run scripts/s3.sh and set it to what that prints")]
    NoBucket,
    #[error("the server for buckets ended by itself; the end of its log:\n{log}")]
    BucketEnded { log: String },
    #[error("the server for buckets did not answer within {seconds} s; the end of its log:\n{log}")]
    BucketDeadline { seconds: u64, log: String },
    #[error(
        "no {0}: PROMETHEUS is not set and there is none on PATH; run scripts/prometheus.sh and set PROMETHEUS to what it prints"
    )]
    NoPrometheus(String),
    #[error("prometheus did not come up; the end of its log:\n{log}")]
    Prometheus { log: String },
    #[error("cannot start {}: {source}", program.display())]
    Start { program: PathBuf, source: std::io::Error },
    #[error("the servers' folder cannot be used: {0}")]
    Folder(#[from] std::io::Error),
    #[error("etcd was not {wanted} within {seconds} s; the ends of the members' logs:\n{logs}")]
    Deadline { wanted: &'static str, seconds: u64, logs: String },
    #[error("member {member} ended by itself; the end of its log:\n{log}")]
    Ended { member: usize, log: String },
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default(); // a log not begun yet is empty
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}
