//! What a plan has beside its listing of the shards: the model's files by digest, and what may be taken over from an earlier audit.
//!
//! It must never fail a plan: where nothing can be taken over, everything is computed.

mod earlier;
mod model_files;

use bytes::Bytes;
use lethe_common::blob::{NamedBlob, attempt_path};
use lethe_common::earlier::{EARLIER, Taken};
use lethe_common::fault::Fault;
use lethe_common::ids::{AuditId, PhaseIndex, ShardId};
use lethe_common::program::{MapProgram, ReduceProgram};
use lethe_common::spec::PlanName;
use lethe_engine::AuditView;
use lethe_evidence::artifacts::{Shards, encode, names};
use serde::Serialize;

pub(crate) use model_files::MODEL_FILES;

use crate::reduce::{self, ReduceContext, ReduceResult};
use earlier::Settled;

/// The phases whose results another audit may take over, a shard each.
pub(crate) const TAKEN_OVER: [MapProgram; 2] = [MapProgram::Reference, MapProgram::Score];

/// An earlier audit, as the engine knows it; else why it is of no use.
pub(crate) type Earlier = (AuditId, Result<(AuditView, Vec<Taken>), String>);

/// Runs a reduce; to a plan's outputs it adds the above.
pub(crate) async fn run(ctx: ReduceContext, earlier: Option<Earlier>) -> Result<ReduceResult, Fault> {
    match ctx.program {
        ReduceProgram::Plan => plan(ctx, earlier).await,
        ReduceProgram::Suspect
        | ReduceProgram::Select
        | ReduceProgram::Confirm
        | ReduceProgram::Report
        | ReduceProgram::Publish
        | ReduceProgram::Deliver => reduce::run(ctx).await,
    }
}

async fn plan(ctx: ReduceContext, earlier: Option<Earlier>) -> Result<ReduceResult, Fault> {
    let (task, spec, blobs) = (ctx.task.clone(), ctx.spec.clone(), ctx.blobs.clone());
    let reference = ctx.phase_names.iter().position(|name| name == MapProgram::Reference.as_str());
    let put = async |name: &str, bytes: Bytes| {
        let blob = blobs.put(&attempt_path(&task, name), bytes).await;
        blob.map(|blob| NamedBlob { name: name.to_owned(), blob }).map_err(|e| Fault::storage(e.to_string()))
    };
    let mut result = reduce::run(ctx).await?;
    let model = model_files::of(spec.model.clone()).await?;
    result.outputs.push(put(MODEL_FILES, json(MODEL_FILES, &model)?).await?);
    if spec.audit.plan != PlanName::Ubt {
        return Ok(result);
    }
    let listed = result.outputs.iter().find(|output| output.name == names::SHARDS);
    let listed = listed.ok_or_else(|| Fault::fatal("the plan gave no listing of the shards; report it"))?;
    let bytes = blobs.get(&listed.blob).await.map_err(reduce::blob_fault)?;
    let before = match earlier {
        Some((audit, known)) => Some((audit, earlier::read(known, &blobs).await?)),
        None => None,
    };
    // A million shards take a while, in which others are to be served.
    let settled = tokio::task::spawn_blocking(move || {
        let shards: Shards = serde_json::from_slice(&bytes).map_err(fatal)?;
        Ok::<_, Fault>(earlier::settle(&spec, shards, &model, before))
    });
    let Settled { basis, rearranged } = settled.await.map_err(|panic| Fault::retryable(panic.to_string()))??;
    if let Some((shards, sample)) = rearranged {
        let listing = put(names::SHARDS, json(names::SHARDS, &shards)?).await?;
        result.outputs.iter_mut().filter(|output| output.name == names::SHARDS).for_each(|old| *old = listing.clone());
        if let (Some(outline), Some(phase)) = (&mut result.outline, reference) {
            outline.samples.insert(PhaseIndex(phase as u32), sample.into_iter().map(ShardId).collect());
        }
    }
    result.outputs.push(put(EARLIER, json(EARLIER, &basis)?).await?);
    Ok(result)
}

fn json<T: Serialize>(name: &str, value: &T) -> Result<Bytes, Fault> {
    encode(name, value).map(Bytes::from).map_err(fatal)
}

fn fatal(error: impl std::fmt::Display) -> Fault {
    Fault::fatal(error.to_string())
}
