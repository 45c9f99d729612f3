//! How much there is to do: the data, who does it, and the recipe's caps.
//!
//! It must never know how fast anything is.

use lethe_common::spec::{GangSection, Spec};

/// Shards that the reference set is drawn from, at most.
const REFERENCE_SHARDS: f64 = lethe_evidence::artifacts::MAX_REFERENCE_SHARDS as f64;

#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    pub samples: f64,
    pub shards: f64,
    pub workers: f64,
    /// Ranks of a training.
    pub gang: f64,
    pub recipe: Recipe,
}

/// What of a spec decides how much there is to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    pub reference: f64,
    pub score_batch: f64,
    share: f64,
    max_suspects: f64,
    max_safe: f64,
    pub overfit: Gang,
    pub stand_in: Gang,
    pub unlearn: Gang,
    pub exhibits: f64,
    held_out: f64,
    max_forget: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gang {
    pub steps: f64,
    pub batch: f64,
}

impl Recipe {
    pub fn of(spec: &Spec) -> Self {
        let gang = |section: &GangSection| Gang { steps: section.steps as f64, batch: section.batch.into() };
        Self {
            reference: spec.reference.samples.into(),
            score_batch: spec.score.batch.into(),
            share: spec.suspect.share,
            max_suspects: spec.suspect.max_suspects as f64,
            max_safe: spec.suspect.max_safe as f64,
            overfit: gang(&spec.overfit.gang),
            stand_in: gang(&spec.stand_in.gang),
            unlearn: gang(&spec.unlearn.gang),
            exhibits: spec.localize.exhibits.into(),
            held_out: spec.evaluate.held_out_share,
            max_forget: spec.select.max_share,
        }
    }

    /// That of a spec which says nothing.
    pub fn usual() -> Self {
        let spec = serde_json::json!({"audit": {"id": "plan"}, "model": {"config": "c"}, "data": {"shards": ["s"]}});
        Self::of(&serde_json::from_value(spec).expect("names all that a spec must"))
    }
}

impl Work {
    pub fn suspects(&self) -> f64 {
        (self.recipe.share * self.samples).min(self.recipe.max_suspects)
    }

    /// Whether the cap on suspects decides, and not their share.
    pub fn is_capped(&self) -> bool {
        self.recipe.share * self.samples > self.recipe.max_suspects
    }

    /// Suspects and safe pairs.
    pub fn gathered(&self) -> f64 {
        self.suspects() + self.recipe.max_safe.min(self.samples)
    }

    /// What the evaluation looks at: safe pairs, and a third of what may be forgotten.
    pub fn held_out(&self) -> f64 {
        self.recipe.held_out * self.recipe.max_safe.min(self.samples) + self.recipe.max_forget * self.suspects() / 3.0
    }

    pub fn reference_shards(&self) -> f64 {
        self.shards.min(REFERENCE_SHARDS)
    }

    /// Tasks of a map that the busiest worker has.
    pub fn rounds(&self) -> f64 {
        (self.shards / self.workers).ceil()
    }

    pub fn shard_samples(&self) -> f64 {
        self.samples / self.shards
    }
}
