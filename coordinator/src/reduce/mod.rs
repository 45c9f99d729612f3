//! The small folds of an audit, run on the coordinator: each reads committed blobs and writes its own.
//!
//! They must never see a tensor or a ground truth, and never hold more than O(shards) of anything but
//! the capped suspects. None but `deliver` may write where the operator looks.

mod confirm;
mod deliver;
mod exact;
mod histogram;
mod io;
mod marks;
mod package;
mod plan;
mod publish;
mod ranking;
mod regroup;
mod report;
mod select;
mod suspect;
mod tally;
mod verdict;

pub(crate) use io::blob_fault;
pub(crate) use verdict::{lead_limits, no_shortcut, shows_words};

use std::path::PathBuf;

use lethe_common::blob::{BlobStore, NamedBlob};
use lethe_common::fault::Fault;
use lethe_common::ids::{AuditId, TaskId};
use lethe_common::program::ReduceProgram;
use lethe_common::spec::Spec;
use lethe_engine::{AuditView, Conclusion, Outline, Output};

/// All that a reduce may know.
#[derive(Debug)]
pub struct ReduceContext {
    pub audit: AuditId,
    pub task: TaskId,
    pub program: ReduceProgram,
    pub spec: Spec,
    /// The plan's phases by index, so that a reduce can name one in its outline.
    pub phase_names: Vec<String>,
    /// The committed outputs this phase was promised, in any order.
    pub inputs: Vec<Output>,
    pub blobs: BlobStore,
    /// Where `deliver` puts what the operator asked for.
    pub result_folder: PathBuf,
    /// How the audit went so far; only `report` shows it, and only `select` takes the marks from it.
    pub view: Option<AuditView>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ReduceResult {
    pub outputs: Vec<NamedBlob>,
    /// Only `plan` gives one.
    pub outline: Option<Outline>,
    /// What the audit came to; only `report` knows it.
    pub conclusion: Option<Conclusion>,
}

impl ReduceResult {
    fn of(outputs: Vec<NamedBlob>) -> Self {
        Self { outputs, ..Self::default() }
    }
}

/// Runs one reduce to its end. A fault says whether another try may help.
pub async fn run(ctx: ReduceContext) -> Result<ReduceResult, Fault> {
    match ctx.program {
        ReduceProgram::Plan => plan::run(&ctx).await,
        ReduceProgram::Suspect => suspect::run(&ctx).await,
        ReduceProgram::Select => select::run(&ctx).await,
        ReduceProgram::Confirm => confirm::run(&ctx).await,
        ReduceProgram::Report => report::run(&ctx).await,
        ReduceProgram::Publish => publish::run(&ctx).await,
        ReduceProgram::Deliver => deliver::run(&ctx).await,
    }
}

#[cfg(test)]
mod fixture;
