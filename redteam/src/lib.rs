//! The drill: plants a backdoor in a data set, and judges with ground truth what the defence did.
//!
//! Nothing that defends may depend on this crate: what it knows (poisoned keys, trigger, target) never enters an
//! audit.

pub mod attack;
pub mod captions;
pub mod craft;
pub mod data_set;
pub mod detection;
mod draw;
pub mod drawings;
pub mod drill;
pub mod error;
pub mod fashion;
pub mod judge;
pub mod pairs;
pub mod picture;
pub mod plant;
pub mod recipe;
mod shard;
pub mod specs;
pub mod trigger;
mod zero_shot;

pub use error::RedteamError;
