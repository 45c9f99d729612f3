//! Whole audits by real processes on a real etcd, each among one fault: killed, stopped, cut off, out of disk.
//!
//! A fault must be proved to have fired, and the result must equal the undisturbed one on a cluster of the same shape.
//! A bounded part runs with all tests, the rest by `make chaos`.

#[allow(dead_code, reason = "shared with end_to_end, which uses all of it")]
#[path = "../end_to_end/audit.rs"]
mod audit;
#[allow(dead_code, reason = "shared with end_to_end, which uses all of it")]
#[path = "../end_to_end/children.rs"]
mod children;
mod clock;
mod cluster;
mod disk;
#[allow(dead_code, reason = "shared with end_to_end, which uses all of it")]
#[path = "../end_to_end/drill.rs"]
mod drill;
mod etcd;
mod leaders;
mod network;
mod operator;
mod part;
mod partitions;
#[allow(dead_code, reason = "shared with end_to_end, which uses all of it")]
#[path = "../end_to_end/results.rs"]
mod results;
mod stage;
mod workers;
