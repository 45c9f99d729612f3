//! What an earlier audit computed of a shard that has not changed, in place of computing it again.
//!
//! It must never make up anything: what is not there any more is computed after all.

use std::collections::BTreeMap;

use lethe_common::earlier::{Basis, EARLIER, Taken};
use lethe_common::fault::Fault;
use lethe_common::ids::ShardId;
use lethe_common::program::MapProgram;
use lethe_data::Prefetch;
use tracing::warn;

use crate::programs;
use crate::task::{Counts, TaskContext, TaskOutput};

/// A phase's, by shard.
type OfPhase = BTreeMap<ShardId, Taken>;

/// Runs one map task, or takes over what there is of it.
///
/// # Errors
/// As the program's; or the plan's account of the earlier audit cannot be read.
pub fn run_map(program: MapProgram, ctx: &TaskContext<'_>) -> Result<TaskOutput, Fault> {
    match taken_over(program, ctx)? {
        Some(output) => Ok(output),
        None => programs::run_map(program, ctx),
    }
}

/// Opens the shard of a map task that is about to run; not where most shards will not be read.
///
/// # Errors
/// As the program's.
pub fn open(program: MapProgram, ctx: &TaskContext<'_>) -> Result<Option<Prefetch>, Fault> {
    match ctx.spec.audit.since {
        Some(_) => Ok(None),
        None => programs::open(program, ctx),
    }
}

fn taken_over(program: MapProgram, ctx: &TaskContext<'_>) -> Result<Option<TaskOutput>, Fault> {
    if ctx.spec.audit.since.is_none() || !matches!(program, MapProgram::Reference | MapProgram::Score) {
        return Ok(None);
    }
    let of_phase = ctx.kept.get("earlier", || of_phase(program, ctx))?;
    let Some(taken) = of_phase.get(&ctx.task.shard) else { return Ok(None) };
    let mut outputs = Vec::with_capacity(taken.outputs.len());
    for output in &taken.outputs {
        ctx.stop_if_cancelled()?;
        match ctx.blobs.get(&output.blob) {
            Ok(bytes) => outputs.push(ctx.put(&output.name, bytes)?),
            Err(error) => {
                warn!(task = %ctx.task, %error, "what an earlier audit computed is gone; it is computed again");
                return Ok(None);
            }
        }
    }
    let counts = Counts { read: taken.read, scored: taken.scored, failed: taken.failed };
    (ctx.progress)(counts.read, counts.read);
    Ok(Some(TaskOutput { outputs, counts, waited_ms: 0 }))
}

fn of_phase(program: MapProgram, ctx: &TaskContext<'_>) -> Result<OfPhase, Fault> {
    let known = ctx.inputs_of("plan").flat_map(|input| &input.blobs).find(|blob| blob.name == EARLIER);
    // A plan of an older release has none.
    let Some(known) = known else { return Ok(OfPhase::new()) };
    let basis: Basis = serde_json::from_slice(&ctx.get(known)?)
        .map_err(|e| Fault::fatal(format!("{EARLIER} is not what this build reads: {e}")))?;
    let taken = basis.since.into_iter().flat_map(|since| since.taken);
    Ok(taken.filter(|one| one.phase == program.as_str()).map(|one| (one.shard, one)).collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lethe_common::blob::{Digest, NamedBlob};
    use lethe_common::earlier::Since;
    use lethe_common::ids::{AuditId, TaskId};

    use super::*;
    use crate::task::{Rig, TaskInput, sample_id};

    fn id(text: &str) -> AuditId {
        AuditId::new(text).expect("is an id")
    }

    fn basis(outputs: Vec<NamedBlob>) -> Basis {
        let taken = Taken { shard: ShardId(0), phase: "score".to_owned(), read: 9, scored: 8, failed: 1, outputs };
        let since = Since { audit: id("monday"), changes: None, anew: None, taken: vec![taken], drop_list: None };
        Basis { scored_by: None, reference_of: id("monday"), drawn_from_bytes: 1, since: Some(since) }
    }

    /// What a task of shard 0 takes over from an audit that has scored it, and whose blob this was done to since.
    fn told(program: MapProgram, done: impl Fn(&Path)) -> Result<Option<TaskOutput>, Fault> {
        let folder = tempfile::tempdir().expect("makes a folder");
        let rig = Rig::new(folder.path());
        let mut ctx = rig.context();
        ctx.spec.audit.since = Some(id("monday"));
        let before = TaskId { audit: id("monday"), ..sample_id(1) };
        let score = rig.blobs.put(&before, "signals.parquet", "rows".into())?;
        let text = serde_json::to_vec(&basis(vec![score.clone()])).expect("is JSON");
        let known = rig.blobs.put(&sample_id(2), EARLIER, text.into())?;
        ctx.inputs = vec![TaskInput { phase: "plan".to_owned(), shard: ShardId(0), blobs: vec![known] }];
        done(&folder.path().join(&score.blob.path));
        taken_over(program, &ctx)
    }

    #[test]
    fn a_shard_that_was_scored_before_is_not_scored_again() {
        let output = told(MapProgram::Score, |_| ()).expect("reads").expect("is taken over");
        assert_eq!(output.counts, Counts { read: 9, scored: 8, failed: 1 });
        let [own] = &output.outputs[..] else { panic!("{output:?}") };
        assert_eq!((own.name.as_str(), own.blob.digest), ("signals.parquet", Digest::of(b"rows")));
        assert!(own.blob.path.starts_with("audit/"), "it is the task's own now: {}", own.blob.path);
    }

    #[test]
    fn what_was_not_kept_is_computed() {
        assert_eq!(told(MapProgram::Reference, |_| ()).expect("reads"), None, "of another phase");
        assert_eq!(told(MapProgram::Gather, |_| ()).expect("reads"), None, "of a phase that is never taken over");
        let gone = told(MapProgram::Score, |path| std::fs::remove_file(path).expect("is ours"));
        assert_eq!(gone.expect("reads"), None, "swept");
        let damaged = told(MapProgram::Score, |path| std::fs::write(path, "tows").expect("is ours"));
        assert_eq!(damaged.expect("reads"), None, "damaged");
    }
}
