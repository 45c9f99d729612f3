//! How a gang's training went.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Training {
    /// Steps that all ranks took.
    pub steps: u64,
    /// The loss of each step, in order; no number where a step was skipped since its gradient was none.
    #[serde(with = "numbers_or_null")]
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

/// JSON has no NaN.
mod numbers_or_null {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(numbers: &[f32], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(numbers.iter().map(|number| number.is_finite().then_some(*number)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f32>, D::Error> {
        let numbers = Vec::<Option<f32>>::deserialize(from)?;
        Ok(numbers.into_iter().map(|number| number.unwrap_or(f32::NAN)).collect())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skipped_step_has_no_loss_and_costs_no_report() {
        let training = Training { steps: 3, losses: vec![2.5, f32::NAN, 1.5], ..Training::default() };
        let text = serde_json::to_string(&training).expect("writes");
        assert!(text.contains("[2.5,null,1.5]"), "{text}");
        let read: Training = serde_json::from_str(&text).expect("reads");
        assert_eq!((read.losses[0], read.losses[1].is_nan(), read.losses[2]), (2.5, true, 1.5));
    }
}
