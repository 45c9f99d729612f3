//! What a process of ours says about itself: logs, metrics over HTTP, spans over OTLP.
//!
//! It must never decide, nor make what it tells of wait: what cannot be told in time is dropped. It must never tell a
//! secret, a caption or a path: ids, numbers and times only.

pub mod health;
pub mod logs;
mod page;
mod process;
mod serve;
pub mod spans;
mod trace;

pub use page::text;
pub use process::Process;
pub use serve::{Ask, ServeError, listen, serve};
pub use trace::Trace;
