//! `lethe scrub` on result folders as audits leave them.

mod audited;
mod broken;
mod keep;
mod places;
mod rewritten;
mod stopped;
