//! One module a command: from its arguments to how it ended.

pub mod audit;
pub mod bench;
pub mod demo;
pub mod doctor;
mod dry_run;
pub mod eval;
pub mod help;
pub mod operate;
pub mod pki;
pub mod plan;
mod preflight;
pub mod redteam;
pub mod scrub;
pub mod verify;
