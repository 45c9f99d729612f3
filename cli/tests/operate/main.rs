//! The operators' commands against coordinators that play a script.

mod answers;
mod fake;
mod kubernetes;
mod leaders;
mod receiver;
mod run;
mod webhook;
