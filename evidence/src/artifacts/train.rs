//! How a gang's training went.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Training {
    /// Steps that all ranks took.
    pub steps: u64,
    /// The loss of each step, in order.
    pub losses: Vec<f32>,
    /// When each step was applied on the rank that tells, in milliseconds since the epoch.
    #[serde(default)]
    pub applied_ms: Vec<u64>,
    /// In which generation of the gang; it rises where ranks were lost or joined.
    #[serde(default)]
    pub generations: Vec<u64>,
    /// Samples read, over all ranks.
    pub samples: u64,
    pub world_size: u32,
    pub seconds: f64,
    /// Numbers that were trained; the word table counts with the words in use.
    #[serde(default)]
    pub parameters: u64,
    /// What each kind of collective call cost the rank that tells, in the last generation.
    #[serde(default)]
    pub collectives: BTreeMap<String, Calls>,
}

/// Calls of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Calls {
    pub calls: u64,
    /// Bytes of the tensors that were given to them; a ring sends 2(n-1)/n of that for a sum.
    pub payload_bytes: u64,
    /// Time that the training waited in them.
    pub waited_s: f64,
}
