//! What an outline must hold to be run.
//!
//! It must never be trusted unchecked: its numbers come from a listing of somebody's data.

use crate::event::Outline;

/// The shards one audit may have.
pub const MAX_SHARDS: u32 = 1 << 22;

impl Outline {
    /// Itself, where every sample is of its shards, ascending and without repetition; else why not.
    pub(crate) fn checked(self) -> Result<Self, String> {
        if self.shards > MAX_SHARDS {
            return Err(format!(
                "the outline has {} shards; the limit is {MAX_SHARDS}: split the data set",
                self.shards
            ));
        }
        for (phase, sample) in &self.samples {
            if !sample.is_sorted_by(|a, b| a < b) {
                return Err(format!("the outline's sample for phase {phase} is not in ascending order"));
            }
            if let Some(shard) = sample.last().filter(|shard| shard.0 >= self.shards) {
                return Err(format!(
                    "the outline samples shard {shard} for phase {phase}; it has {} shards",
                    self.shards
                ));
            }
        }
        Ok(self)
    }
}
