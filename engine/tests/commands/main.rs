//! What the engine answers, event by event: every test compares whole command lists.
//!
//! They must never look inside the engine, or leave a list half compared.

mod audits;
mod bench;
mod gang;
mod map;
mod reduce;
mod restore;
mod view;
