//! IO around the engine: the driver that persists before it acts, the gRPC api, the store, and the
//! small folds that run beside them.
//!
//! It must never see a tensor, decide what the engine decides, or do work that grows with samples.

pub mod api;
pub mod code;
pub mod driver;
pub mod metrics;
pub mod pages;
mod planning;
pub mod plans;
mod record;
pub mod reduce;
mod reign;
pub mod rendezvous;
pub mod report;
pub mod results;
pub mod review;
pub mod server;
pub mod store;
pub mod sweep;
mod upkeep;
