//! The audit spec: one TOML file, checked as a whole before anything starts.
//!
//! It must never hold ground truth: there is no field for a poison key, a trigger or a target.

mod address;
mod detector;
mod load;
mod sections;
mod stores;
mod unlearn;
mod validate;
mod validate_stores;

pub use address::{Scheme, StoreUrl, is_forbidden};
pub use detector::Detector;
pub use load::{SpecError, load};
pub use sections::{
    AuditSection, DataSection, EvaluateSection, GangSection, Jpeg, LocalizeSection, ModelSection, OverfitSection,
    Pictures, PlanName, Precision, ReferenceSection, ReportSection, ScoreSection, SelectSection, StandInSection,
    SuspectSection, TrainSection, WorkersSection,
};
pub use stores::StoreSection;
pub use unlearn::{UnlearnMethod, UnlearnSection};
pub use validate::Problem;

use serde::{Deserialize, Serialize};

/// What to audit, and how. Every section but `audit`, `model` and `data` may be left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    pub audit: AuditSection,
    pub model: ModelSection,
    pub data: DataSection,
    #[serde(default)]
    pub workers: WorkersSection,
    #[serde(default)]
    pub reference: ReferenceSection,
    #[serde(default)]
    pub score: ScoreSection,
    #[serde(default)]
    pub suspect: SuspectSection,
    #[serde(default)]
    pub overfit: OverfitSection,
    #[serde(default)]
    pub stand_in: StandInSection,
    #[serde(default)]
    pub select: SelectSection,
    #[serde(default)]
    pub localize: LocalizeSection,
    #[serde(default)]
    pub unlearn: UnlearnSection,
    #[serde(default)]
    pub evaluate: EvaluateSection,
    #[serde(default)]
    pub report: ReportSection,
    #[serde(default)]
    pub train: TrainSection,
}
