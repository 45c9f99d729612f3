//! Whole audits by the real processes: undisturbed, among faults, and on data and checkpoints that are bad.
//!
//! A fault must be proved to have fired, and the result must equal the fault-free one. How well the method works is
//! judged by the demo alone; elsewhere the victim is untrained and its data are synthetic, so no data set is needed.

mod audit;
mod bad_data;
mod blobs;
mod children;
mod defence;
mod demo;
mod drill;
mod faults;
mod follower;
mod formats;

mod refused;
mod results;
mod schedule;
mod scrub;
mod service;
mod stores;
mod tls;
