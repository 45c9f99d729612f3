//! What coordinators answer, as text for people and as JSON for programs.
//!
//! Pure: the time and the terminal's width are arguments. It must never print a control character that a worker sent.

mod audit;
mod audits;
mod cluster;
pub mod json;
mod notes;
pub mod table;
#[cfg(test)]
mod tests;
mod when;
mod words;
mod workers;

pub use audit::audit;
pub use audits::{audits, ended};
pub use cluster::cluster;
pub use notes::{came_to, of_audit as waits};
pub use words::{count, plain, size, state};
pub use workers::workers;

use lethe_common::time::Millis;

/// Where and when something is shown.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    pub now: Millis,
    /// Columns, where a person looks; what goes to a file or a pipe is not wrapped.
    pub columns: Option<usize>,
}

impl Page {
    pub fn of_stdout() -> Self {
        let columns = terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
        Self { now: Millis::now(), columns }
    }
}
