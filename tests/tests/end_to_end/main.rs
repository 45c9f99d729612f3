//! Whole audits by the real processes: undisturbed, among faults, and on data and checkpoints that are bad.
//!
//! A fault must be proved to have fired, and the result must equal the fault-free one. Nothing here judges
//! how well the method works: the victim is untrained and its data are synthetic, so no data set is needed.

mod audit;
mod bad_data;
mod children;
mod drill;
mod faults;
mod follower;
mod refused;
mod results;
