//!
//! It must never know a scheduler, a tensor or a socket.

pub mod backoff;
pub mod blob;
pub mod fault;
pub mod ids;
pub mod pin;
pub mod program;
pub mod spec;
pub mod time;
