//! A coordinator that does what a test says, and an executor whose programs are the test's.
//!
//! It must never wait without a deadline, nor judge: tests do.

pub mod coordinator;
pub mod scripted;
