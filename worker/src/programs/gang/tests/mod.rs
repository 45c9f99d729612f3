//! Any number of ranks computes what one process computes: gradients first, then whole trainings with losses of ranks.
//!
//! Ranks are threads here, with real c10d groups between them and f64 throughout, so that what differs is a fault and not
//! rounding.

mod bench;
mod equality;
mod recovery;
mod slip;
