//! A coordinator that does what a test says, and an executor whose programs are the test's.
//!
//! It must never wait without a deadline, nor judge: tests do.

#![allow(dead_code)] // each test program uses a part

pub mod coordinator;
pub mod messages;
pub mod proxy;
pub mod scripted;
pub mod worker;
