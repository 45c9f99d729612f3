//! Chance for pauses, so that many who wait do not come back together.
//!
//! It must never be used where a result depends on it.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A uniform draw in [0, 1): the standard library seeds its hashers from the system and never twice alike.
pub fn draw() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1_u64 << 53) as f64
}
