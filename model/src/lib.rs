//! CLIP and the unlearning mathematics on libtorch.
//!
//! It must never know a network, a job, a rank or a path: bytes and tensors in, bytes and tensors out.

pub mod adamw;
pub mod augment;
mod autocast;
mod checkpoint;
pub mod clip;
pub mod config;
pub mod density;
pub mod error;
pub mod exact;
mod ffi;
pub mod gradients;
mod image;
mod init;
mod layout;
pub mod loss;
pub mod pixels;
pub mod preference;
pub mod schedule;
mod text;
mod transformer;
pub mod vocabulary;

pub use adamw::{AdamW, AdamWSettings};
pub use autocast::Autocast;
pub use clip::{Clip, Param};
pub use config::{Hints, ModelConfig, Normalization};
pub use error::{ModelError, Result};
pub use vocabulary::Vocabulary;

/// libtorch's bindings, re-exported so that callers use the version this crate was built with.
pub use tch;
