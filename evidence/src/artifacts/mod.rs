//! What phases hand to each other: the names and the types of every artefact that is not a table.
//!
//! It must never compute: a phase fills these in, the next one reads them. Tables (`signals.parquet`,
//! `pairs.parquet`) have modules of their own.

mod evaluate;
mod falls;
mod keep;
mod likeness;
mod localize;
mod look;
mod probe;
mod report;
mod samples;
mod score;
mod scores;
mod select;
mod shards;
mod train;

pub use evaluate::{Evaluation, Residual};
pub use falls::{Falls, WordFalls, WordWeights};
pub use keep::{KeepRow, KeepWriter, read_keep};
pub use likeness::{COMPARED_WITH, Farther, Likeness, SHOWS_BELOW};
pub use localize::{Exhibit, Exhibits, Picture, ShadedWord, TokenGrid};
pub use look::{Look, Looks, PixelSums, look_side};
pub use probe::{Donor, DonorHits, Excess, Graft, Grafts, HOSTS_EACH, Hits, Lead, LeadLimits, Probe, Probes, Way};
pub use report::{Found, HandedBack, Histogram, Interval, MarkCounts, PhaseSeconds, Report, Verdict};
pub use samples::{BadSample, BadSamples, MAX_BAD_SAMPLES, SampleCounts};
pub use score::{ShardDigest, SuspectCut};
pub use scores::{ScoreRow, Scores, ScoresWriter, read_scores};
pub use select::{
    Beside, Cluster, Confirmed, DropEntry, DropList, ForgetSet, Judged, MOST_OF_A_SHARD, Member, WordScore,
};
pub use shards::{MAX_REFERENCE_SHARDS, ShardEntry, Shards};
pub use train::{Calls, Training};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The names of artefacts, under which a phase's outputs hold them.
pub mod names {
    /// [`super::Shards`], by `plan`.
    pub const SHARDS: &str = "shards.json";
    /// The signals table of one shard, by `score`.
    pub const SIGNALS: &str = "signals.parquet";
    /// Embeddings and signals of one shard's part of the reference set, by `reference`.
    pub const REFERENCE: &str = "reference.safetensors";
    /// [`super::ShardDigest`] of one shard, by `score`.
    pub const DIGEST: &str = "digest.json";
    /// [`super::SuspectCut`], by `suspect`.
    pub const CUT: &str = "cut.json";
    /// The pairs table of one shard, by `gather` and `pack`.
    pub const PAIRS: &str = "pairs.parquet";
    /// The signals table of one shard's suspects, by `rescore`.
    pub const RESCORED: &str = "rescored.parquet";
    /// [`super::WordFalls`] of one shard's safe pairs, by `rescore`.
    pub const FALLS: &str = "falls.json";
    /// The table of all suspects with their final score, by `select`.
    pub const RANKED: &str = "ranked.parquet";
    /// [`super::ForgetSet`], by `select`.
    pub const FORGET: &str = "forget.json";
    /// [`super::Probes`] of one shard, by `probe`.
    pub const PROBES: &str = "probes.json";
    /// [`super::Looks`] of one shard, by `probe`.
    pub const LOOKS: &str = "looks.json";
    /// [`super::Confirmed`], by `confirm`.
    pub const CONFIRMED: &str = "confirmed.json";
    /// [`super::DropList`], by `confirm`.
    pub const DROP: &str = "drop.json";
    /// [`super::Exhibits`] of one shard, by `localize`.
    pub const EXHIBITS: &str = "exhibits.json";
    /// The throw-away model, by `overfit`.
    pub const OVERFITTED: &str = "overfitted.safetensors";
    /// The stand-in for trusted weights, by `stand-in`.
    pub const STAND_IN: &str = "stand-in.safetensors";
    /// The clean checkpoint, by `unlearn`.
    pub const CLEAN: &str = "clean.safetensors";
    /// The trained checkpoint, by `train`.
    pub const MODEL: &str = "model.safetensors";
    /// [`super::Training`], by every gang.
    pub const TRAINING: &str = "training.json";
    /// [`super::Evaluation`] of one shard, by `evaluate`.
    pub const EVALUATION: &str = "evaluation.json";
    /// [`super::Report`], by `report`.
    pub const REPORT: &str = "report.json";
}

/// The columns that reducers look for in the tables of signals.
pub mod columns {
    /// The first-pass score in `signals.parquet`; higher is more suspicious.
    pub const SUSPICION: &str = "suspicion";
    /// Image-text similarity under the suspect model, in both tables.
    pub const SIMILARITY: &str = "similarity";
    /// By how much the stand-in matches a pair less than the overfitted model does, in `rescored.parquet`.
    pub const FALL: &str = "fall";
    /// What `select` sorts by in `ranked.parquet`; higher is more suspicious.
    pub const RANK_SCORE: &str = "rank_score";
}

/// An artefact whose bytes do not say what they should.
#[derive(Debug, thiserror::Error)]
#[error("{name} is not what this build writes: {source}; it may come from another version")]
pub struct ArtifactError {
    pub name: String,
    pub source: serde_json::Error,
}

/// An artefact's bytes. Equal values give equal bytes.
///
/// # Errors
/// A map whose keys are not text; none of this module's types has one.
pub fn encode<T: Serialize>(name: &str, value: &T) -> Result<Vec<u8>, ArtifactError> {
    serde_json::to_vec(value).map_err(|source| ArtifactError { name: name.to_owned(), source })
}

/// An artefact from its bytes.
///
/// # Errors
/// Bytes that are not JSON of this type, with the artefact's name.
pub fn decode<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, ArtifactError> {
    serde_json::from_slice(bytes).map_err(|source| ArtifactError { name: name.to_owned(), source })
}
