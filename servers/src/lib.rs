//! Starts the servers that tests and benchmarks need: real ones, on loopback, in a temporary folder.
//!
//! It must never outlive whoever started it: every server dies with the process, however that ends. Of the two that speak S3 ours
//! reads, within the process and with faults; the other writes too.

mod bucket;
mod cluster;
mod error;
mod member;
mod probe;
mod prometheus;
mod s3;
mod spawner;

pub use bucket::BucketServer;
pub use cluster::{EtcdCluster, EtcdOptions};
pub use error::ServersError;
pub use member::Place;
pub use prometheus::{Job, Prometheus, prometheus_program};
pub use s3::{S3Counts, S3Faults, S3Options, S3Server};
