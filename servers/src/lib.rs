//! Starts the servers that tests and benchmarks need: real ones, on loopback, in a temporary folder.
//!
//! It must never outlive whoever started it: every server dies with the process, however that ends.

mod cluster;
mod error;
mod member;
mod probe;
mod spawner;

pub use cluster::{EtcdCluster, EtcdOptions};
pub use error::ServersError;
pub use member::Place;
