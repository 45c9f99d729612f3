//! A worker: an agent that speaks with the coordinator, and an executor that owns the device.
//!
//! The agent must never call torch, and the executor must never open a socket of ours: what one needs
//! from the other crosses a socket pair as [`frame`]s.

pub mod agent;
pub mod device;
pub mod earlier;
pub mod executor;
pub mod frame;
pub mod machine;
pub mod programs;
pub mod task;
