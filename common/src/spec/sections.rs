//! The sections of a spec with their defaults. Units come last in the names.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::detector::Detector;
use super::stores::StoreSection;
use crate::ids::AuditId;

/// Which list of phases runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanName {
    /// Find the poison, unlearn it, report: the audit.
    Ubt,
    /// Train a checkpoint on the shards: what a drill's victim comes from.
    Train,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditSection {
    pub id: AuditId,
    #[serde(default = "ubt")]
    pub plan: PlanName,
    /// Seeds every draw; the same seed and data give the same result.
    #[serde(default = "one")]
    pub seed: u64,
    /// An earlier audit of the same submitter at the same coordinator: shards that have not changed since keep its scores. Neither this
    /// nor the next is written where it is absent, so that the stored spec stays as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<AuditId>,
    /// The share of the data that may have come, gone or changed since the reference set was drawn; beyond it every shard is scored again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_growth: Option<f64>,
}

impl AuditSection {
    const MAX_GROWTH: f64 = 0.25;

    pub fn max_growth(&self) -> f64 {
        self.max_growth.unwrap_or(Self::MAX_GROWTH)
    }
}

fn ubt() -> PlanName {
    PlanName::Ubt
}

fn one() -> u64 {
    1
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSection {
    /// The suspect checkpoint (safetensors, OpenCLIP's tensor names). A train plan may leave it out.
    pub checkpoint: Option<PathBuf>,
    /// OpenCLIP's model config (JSON).
    pub config: PathBuf,
    /// Earlier weights the operator trusts, of the same architecture, where he has some.
    pub trusted: Option<PathBuf>,
    /// A checkpoint from early in the suspect model's own training; for the detector `abl` alone. Not written where it is
    /// absent, so that the stored spec stays as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSection {
    /// Paths and URLs with brace ranges such as `{00000..00019}.tar` and globs (`*`, `?`). Endings tell the format.
    pub shards: Vec<String>,
    /// Stores by URL, such as `s3://bucket`: what a URL may name, here and in manifests. Not written where there are
    /// none, so that the stored spec stays as it was.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stores: BTreeMap<String, StoreSection>,
    /// The audit fails when more than this share of the samples cannot be read, and when more than this share of the
    /// shards is lost.
    #[serde(default = "two_percent")]
    pub max_failed_share: f64,
    /// How JPEGs are decoded. Not written where it is the usual, so that the stored spec stays as it was.
    #[serde(default, skip_serializing_if = "Jpeg::is_exact")]
    pub jpeg: Jpeg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Jpeg {
    /// Whole, as the model learned from them.
    #[default]
    Exact,
    /// At the smallest of 1/8, 1/4, 1/2 and 1 of their size that leaves as many pixels as the model sees: faster, and slightly
    /// other pixels (docs/scoring.md).
    Reduced,
}

impl Jpeg {
    fn is_exact(&self) -> bool {
        *self == Self::Exact
    }
}

fn two_percent() -> f64 {
    0.02
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkersSection {
    /// Workers that `lethe audit` starts; the world size of the gangs.
    pub count: u32,
    /// The fewest workers that a gang goes on with while others are missing; absent where it waits for all. Not
    /// written where it is absent, so that the stored spec stays as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gang_floor: Option<u32>,
    /// The one knob: leases, losses and collective deadlines derive from it.
    pub heartbeat_ms: u64,
}

impl Default for WorkersSection {
    fn default() -> Self {
        Self { count: 2, gang_floor: None, heartbeat_ms: 1_000 }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReferenceSection {
    /// Pairs that every sample is compared with, drawn by key hash from all data.
    pub samples: u32,
}

impl Default for ReferenceSection {
    fn default() -> Self {
        Self { samples: 2_000 }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScoreSection {
    /// Pairs in one forward pass. Scores depend on it only in the last bits.
    pub batch: u32,
    /// The share of shards that two workers compute, and whose results must agree.
    pub check_share: f64,
    /// What makes a pair a suspect. Not written where it is the usual, so that the stored spec stays as it was.
    #[serde(skip_serializing_if = "Detector::is_usual")]
    pub detector: Detector,
}

impl Default for ScoreSection {
    fn default() -> Self {
        Self { batch: 250, check_share: 0.0, detector: Detector::default() }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SuspectSection {
    /// The share of all pairs that becomes the suspects (D_susp).
    pub share: f64,
    /// Never more suspects than this.
    pub max_suspects: u64,
    /// Safe pairs gathered for training (D_safe), drawn by key hash.
    pub max_safe: u64,
}

impl Default for SuspectSection {
    fn default() -> Self {
        Self { share: 0.10, max_suspects: 200_000, max_safe: 8_000 }
    }
}

/// One data-parallel training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GangSection {
    pub steps: u64,
    /// Pairs of the global batch, whatever the world size.
    pub batch: u32,
    pub learning_rate: f64,
    pub weight_decay: f64,
    pub warmup_steps: u64,
    /// Pairs that one rank holds with all that backward needs of them; a larger share is computed piece by piece and
    /// each piece twice (gradient caching). Without it the whole share is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micro_batch: Option<u32>,
    #[serde(default)]
    pub precision: Precision,
    /// Gradients are summed over the ranks in pieces of at least so many MiB while backward still runs.
    #[serde(default = "bucket_mib")]
    pub bucket_mib: u32,
    /// Each rank keeps the optimiser's state of its part of the model and of its neighbour's, not the whole (ZeRO stage 1,
    /// arXiv 1910.02054): less memory for half as many bytes again on the wire.
    #[serde(default)]
    pub shard_optimizer: bool,
    /// The whole state of the training is kept this often, beside what the ranks hold in memory; 0 keeps it as often as it
    /// can be written.
    #[serde(default = "one_minute")]
    pub checkpoint_seconds: u64,
}

/// That of PyTorch's `DistributedDataParallel`.
fn bucket_mib() -> u32 {
    25
}

fn one_minute() -> u64 {
    60
}

impl GangSection {
    /// What a recipe need not say.
    pub const PLAIN: Self = Self {
        steps: 1,
        batch: 256,
        learning_rate: 5e-4,
        weight_decay: 0.0,
        warmup_steps: 5,
        micro_batch: None,
        precision: Precision::F32,
        bucket_mib: 25,
        shard_optimizer: false,
        checkpoint_seconds: 60,
    };
}

/// What a training computes in; weights, gradients and the optimiser's state are kept in f32 or f64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    #[default]
    F32,
    /// The towers multiply in bf16 (autocast), the losses in f32. On CUDA only.
    Bf16,
    /// Slow; where a result has to be proved equal.
    F64,
}

/// Left out at 0 steps, which is the default (FINDINGS.md).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OverfitSection {
    pub gang: GangSection,
    /// Weight of the pull mean (s - 1)^2 over suspects beside L_clip over safe pairs.
    pub pull_weight: f64,
}

impl Default for OverfitSection {
    fn default() -> Self {
        Self { gang: GangSection { steps: 0, ..GangSection::PLAIN }, pull_weight: 1.0 }
    }
}

/// The stand-in for trusted weights, where none are given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StandInSection {
    pub gang: GangSection,
    /// The share of all pairs, the strongest of the first pass, that it unlearns.
    pub share: f64,
    pub anchor_weight: f64,
    pub forget_weight: f64,
}

impl Default for StandInSection {
    fn default() -> Self {
        Self {
            gang: GangSection { steps: 40, batch: 64, learning_rate: 1e-3, ..GangSection::PLAIN },
            share: 0.01,
            anchor_weight: 1.0,
            forget_weight: 1.0,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SelectSection {
    /// The forget set (D_forget) lies above Otsu's threshold on the suspects' second scores, but for those whose pictures lead otherwise
    /// than their scores say, and is at most this share of all pairs.
    pub max_share: f64,
    /// The part of it that unlearning never sees.
    pub held_out_share: f64,
}

impl Default for SelectSection {
    fn default() -> Self {
        Self { max_share: 0.05, held_out_share: 1.0 / 3.0 }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LocalizeSection {
    /// A word belongs to the backdoor's text when its log-odds z-score is at least this.
    pub min_z: f64,
    /// Exhibits in the report, at most.
    pub exhibits: u32,
}

impl Default for LocalizeSection {
    fn default() -> Self {
        Self { min_z: 4.0, exhibits: 60 }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluateSection {
    /// Safe pairs that no training sees, drawn by key hash from the gathered ones.
    pub held_out_share: f64,
    /// A shortcut is only believed where at least this share of the pictures whose captions share its words prefers these words
    /// by the suspect model. Below it nothing is dropped and the model stays as it is.
    pub min_attraction: f64,
    /// And only where parts of suspicious pictures, put on safe ones, lead them to these words at least so much oftener than parts of
    /// honest pictures with these words do, less one standard error: what is honest carries its own content over, a trigger
    /// more than that. Below it nothing is dropped and the model stays as it is.
    pub min_graft_excess: f64,
    /// A trigger leads most of what carries it: parts that lead fewer than this share must exceed by half as much more as they lack. Where
    /// a cluster's pictures show what its words say, what is coarse in them is held to all in place of this share.
    /// Not written where it is the usual, so that the stored spec stays as it was.
    #[serde(skip_serializing_if = "is_usual_lead")]
    pub min_graft_lead: f64,
    /// The result is rejected when held-out retrieval falls by more than this.
    pub max_retrieval_loss: f64,
    /// The result is rejected when more of a cluster's held-out suspects than this still follow its words, and more is left after taking
    /// off the share of honest images that do, one standard error added.
    pub max_residual_attraction: f64,
}

const USUAL_LEAD: f64 = 0.5;

fn is_usual_lead(lead: &f64) -> bool {
    *lead == USUAL_LEAD
}

impl Default for EvaluateSection {
    fn default() -> Self {
        Self {
            held_out_share: 0.1,
            min_attraction: 0.75,
            min_graft_excess: 0.06,
            min_graft_lead: USUAL_LEAD,
            max_retrieval_loss: 0.05,
            max_residual_attraction: 0.25,
        }
    }
}

/// What the report does with scraped pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pictures {
    #[default]
    Show,
    Blur,
    None,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReportSection {
    pub pictures: Pictures,
    /// Whether `scores.parquet` has every signal of the first pass beside the score, a column each: to compare detectors. Not
    /// written where it has not, so that the stored spec stays as it was.
    #[serde(skip_serializing_if = "is_off")]
    pub signals: bool,
    /// Whether checkpoint and drop list are delivered only when a person has approved them (`lethe approve`). Of an audit that a
    /// coordinator runs; not written where it need not be.
    #[serde(skip_serializing_if = "is_off")]
    pub approval: bool,
}

fn is_off(on: &bool) -> bool {
    !on
}

/// A train plan's recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainSection {
    pub gang: GangSection,
}

impl Default for TrainSection {
    fn default() -> Self {
        let recipe = GangSection { steps: 312, learning_rate: 2e-3, weight_decay: 0.1, ..GangSection::PLAIN };
        Self { gang: GangSection { warmup_steps: 100, ..recipe } }
    }
}
