//! What a scrub came to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lethe_common::pin::Pin;
use lethe_data::Account;
use serde::Serialize;

use super::job::Job;
use super::record::Line;
use crate::follow::phase::spoken;
use crate::show::count;

/// Of what is wrong.
const SHOWN_PROBLEMS: usize = 10;

#[derive(Debug, Serialize)]
pub struct Summary {
    pub written_to: PathBuf,
    /// Of the audit.
    pub shards: u64,
    /// Of them, those that an earlier run had written.
    pub already_there: u64,
    pub refused: u64,
    /// read = kept + dropped + unreadable.
    #[serde(flatten)]
    pub account: Account,
    /// Of the drop list.
    pub missing: u64,
    /// Of which no sample can be read: copied as they are, and in no list.
    pub unreadable_shards: u64,
    /// Their pins cannot be compared with where they lie now.
    pub checked_by_size: u64,
    pub bytes_read: u64,
    pub bytes_written: u64,
    pub seconds: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

impl Summary {
    pub fn of(jobs: &[Job], written_to: &Path) -> Self {
        let by_size = |job: &&Job| match job.entry.pin {
            Pin::Digest(_) => false,
            Pin::Etag(_) | Pin::Modified(_) => job.is_file(),
        };
        Self {
            written_to: written_to.to_owned(),
            shards: jobs.len() as u64,
            already_there: 0,
            refused: 0,
            account: Account::default(),
            missing: 0,
            unreadable_shards: 0,
            checked_by_size: jobs.iter().filter(by_size).count() as u64,
            bytes_read: 0,
            bytes_written: 0,
            seconds: 0.0,
            problems: Vec::new(),
        }
    }

    pub fn add(&mut self, line: &Line) {
        self.listed(line.account, (line.missing, line.input.bytes));
        self.bytes_written += line.output.bytes;
        self.unreadable_shards += u64::from(line.problem.is_some());
    }

    pub fn listed(&mut self, account: Account, (missing, bytes): (u64, u64)) {
        self.account.read += account.read;
        self.account.kept += account.kept;
        self.account.dropped += account.dropped;
        self.account.unreadable += account.unreadable;
        self.missing += missing;
        self.bytes_read += bytes;
    }

    /// The first are told, the others counted.
    pub fn refuse(&mut self, problem: String) {
        self.refused += 1;
        if self.problems.len() < SHOWN_PROBLEMS {
            self.problems.push(problem);
        }
    }

    /// What an error says of all shards that were refused.
    pub fn problems(&self) -> Option<String> {
        if self.problems.is_empty() {
            return None;
        }
        let listed: String = self.problems.iter().map(|problem| format!("\n  {problem}")).collect();
        let more = self.refused - self.problems.len() as u64;
        let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
        Some(format!("{} of {} shards were not written:{listed}{more}", self.refused, self.shards))
    }

    pub fn text(&self) -> String {
        let Account { read, kept, dropped, unreadable } = self.account;
        let told = |number: u64, what: &str| {
            if number > 0 { format!("  {:<14}{}\n", what, count(number)) } else { String::new() }
        };
        [
            format!("  {:<14}{}\n", "shards", count(self.shards)),
            told(self.already_there, "already there"),
            told(self.refused, "refused"),
            told(self.unreadable_shards, "unreadable"),
            told(self.checked_by_size, "by size alone"),
            format!(
                "  {:<14}{} read, {} kept, {} dropped, {} unreadable and kept\n",
                "samples",
                count(read),
                count(kept),
                count(dropped),
                count(unreadable)
            ),
            told(self.missing, "not found"),
            format!("  {:<14}{} read, {} written\n", "bytes", count(self.bytes_read), count(self.bytes_written)),
            format!("  {:<14}{}\n", "time", spoken(Duration::from_secs_f64(self.seconds))),
            format!("  {:<14}{}\n", "in", self.written_to.display()),
        ]
        .concat()
    }
}
