//! The operators' commands against coordinators that play a script.

mod answers;
mod fake;
mod leaders;
mod run;
mod webhook;
