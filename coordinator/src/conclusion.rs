//! What an audit came to, taken from its report as soon as that is written, so that lists, pages and schedules can tell it
//! without reading the report.
//!
//! It must never say anything that the report does not.

use lethe_common::blob::BlobStore;
use lethe_common::fault::Fault;
use lethe_common::program::ReduceProgram;
use lethe_engine::Conclusion;
use lethe_evidence::artifacts::{Report, decode, names};

use crate::planning::{self, Earlier};
use crate::reduce::{ReduceContext, ReduceResult};

/// A reduce's result, and what it says of the whole audit.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Concluded {
    pub result: ReduceResult,
    pub conclusion: Option<Conclusion>,
}

/// Runs a reduce, and reads the report where it wrote one.
pub(crate) async fn run(ctx: ReduceContext, earlier: Option<Earlier>) -> Result<Concluded, Fault> {
    let (writes_report, blobs) = (ctx.program == ReduceProgram::Report, ctx.blobs.clone());
    let result = planning::run(ctx, earlier).await?;
    let conclusion = if writes_report { Some(read(&result, &blobs).await?) } else { None };
    Ok(Concluded { result, conclusion })
}

async fn read(result: &ReduceResult, blobs: &BlobStore) -> Result<Conclusion, Fault> {
    let report = result.outputs.iter().find(|output| output.name == names::REPORT);
    let report = report.ok_or_else(|| Fault::fatal("the report gave none for machines; report this"))?;
    let bytes = blobs.get(&report.blob).await.map_err(|error| Fault::storage(error.to_string()))?;
    let report: Report = decode(names::REPORT, &bytes).map_err(|error| Fault::fatal(error.to_string()))?;
    Ok(Conclusion { verdict: report.verdict.as_str().to_owned(), headline: report.headline })
}
