//! What an earlier audit computed of a shard that has not changed, in place of computing it again.
//!
//! It must never make up anything: a score that is not there any more is computed after all, a part of the reference set is not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lethe_common::blob::{BlobError, Digest, NamedBlob};
use lethe_common::earlier::{Basis, EARLIER, Taken};
use lethe_common::fault::Fault;
use lethe_common::ids::ShardId;
use lethe_common::program::MapProgram;
use lethe_data::Prefetch;
use tracing::warn;

use crate::programs;
use crate::task::{Counts, TaskContext, TaskOutput, blob_fault};

/// What is taken over, by phase and shard.
type Index = BTreeMap<(MapProgram, ShardId), Taken>;

/// The last plan's, by the digest of its account: the thread that opens shards ahead asks too.
static LAST: Mutex<Option<(Digest, Arc<Index>)>> = Mutex::new(None);

/// A larger table passes through a file.
const IN_MEMORY_BYTES: u64 = 16 << 20;

/// Runs one map task, or takes over what there is of it.
///
/// # Errors
/// As the program's; or a part of the reference set is gone, or the store does not answer.
pub fn run_map(program: MapProgram, ctx: &TaskContext<'_>) -> Result<TaskOutput, Fault> {
    match taken_over(program, ctx)? {
        Some(output) => Ok(output),
        None => programs::run_map(program, ctx),
    }
}

/// Opens the shard of a map task that is about to run, where it will be read.
///
/// # Errors
/// As the program's.
pub fn open(program: MapProgram, ctx: &TaskContext<'_>) -> Result<Option<Prefetch>, Fault> {
    match index(program, ctx)?.is_some_and(|index| index.contains_key(&(program, ctx.task.shard))) {
        true => Ok(None),
        false => programs::open(program, ctx),
    }
}

fn taken_over(program: MapProgram, ctx: &TaskContext<'_>) -> Result<Option<TaskOutput>, Fault> {
    let Some(index) = index(program, ctx)? else { return Ok(None) };
    let Some(taken) = index.get(&(program, ctx.task.shard)) else { return Ok(None) };
    let mut outputs = Vec::with_capacity(taken.outputs.len());
    for output in &taken.outputs {
        ctx.stop_if_cancelled()?;
        match copied(output, ctx) {
            Ok(own) => outputs.push(own),
            // Drawn again it would be of other pairs, and all scores that are kept rest on it.
            Err(Uncopied::Gone(error)) if program == MapProgram::Reference => {
                return Err(Fault::fatal(format!(
                    "a part of the reference set is gone from the earlier audit: {error}; submit again with --full, or without audit.since"
                )));
            }
            Err(Uncopied::Gone(error)) => {
                warn!(task = %ctx.task, %error, "what an earlier audit computed is gone; it is computed again");
                return Ok(None);
            }
            Err(Uncopied::Fault(fault)) => return Err(fault),
        }
    }
    let counts = Counts { read: taken.read, scored: taken.scored, failed: taken.failed };
    (ctx.progress)(counts.read, counts.read);
    Ok(Some(TaskOutput { outputs, counts, waited_ms: 0 }))
}

enum Uncopied {
    /// Nobody has it any more, or not as it was.
    Gone(BlobError),
    Fault(Fault),
}

fn copied(output: &NamedBlob, ctx: &TaskContext<'_>) -> Result<NamedBlob, Uncopied> {
    let uncopied = |error: BlobError| match error.is_absent() || matches!(error, BlobError::Damaged { .. }) {
        true => Uncopied::Gone(error),
        false => Uncopied::Fault(blob_fault(error)),
    };
    if output.blob.size_bytes <= IN_MEMORY_BYTES {
        let bytes = ctx.blobs.get(&output.blob).map_err(uncopied)?;
        return ctx.put(&output.name, bytes).map_err(Uncopied::Fault);
    }
    let scratch = ctx.blobs.scratch();
    let made = std::fs::create_dir_all(&scratch).and_then(|()| tempfile::NamedTempFile::new_in(&scratch));
    let file = made.map_err(|e| Uncopied::Fault(Fault::storage(format!("scratch {}: {e}", scratch.display()))))?;
    ctx.blobs.get_file(&output.blob, file.path()).map_err(uncopied)?;
    ctx.blobs.put_file(&ctx.task, &output.name, file.path()).map_err(Uncopied::Fault)
}

/// What the plan of the task's audit lists; nothing where it goes on from no other, or the phase is none that does.
fn index(program: MapProgram, ctx: &TaskContext<'_>) -> Result<Option<Arc<Index>>, Fault> {
    let goes_on = ctx.spec.audit.since.is_some() && matches!(program, MapProgram::Reference | MapProgram::Score);
    let known = ctx.inputs_of("plan").flat_map(|input| &input.blobs).find(|blob| blob.name == EARLIER);
    // A plan of an older release has none.
    let Some(known) = known.filter(|_| goes_on) else {
        *last() = None; // later phases need the memory
        return Ok(None);
    };
    if let Some((digest, index)) = &*last()
        && *digest == known.blob.digest
    {
        return Ok(Some(Arc::clone(index)));
    }
    let basis: Basis = serde_json::from_slice(&ctx.get(known)?)
        .map_err(|e| Fault::fatal(format!("{EARLIER} is not what this build reads: {e}")))?;
    let taken = basis.since.into_iter().flat_map(|since| since.taken);
    let named = taken.filter_map(|one| Some(((MapProgram::parse(&one.phase).ok()?, one.shard), one)));
    let index = Arc::new(named.collect::<Index>());
    *last() = Some((known.blob.digest, Arc::clone(&index)));
    Ok(Some(index))
}

fn last() -> MutexGuard<'static, Option<(Digest, Arc<Index>)>> {
    // Each step leaves it whole.
    LAST.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lethe_common::earlier::Since;
    use lethe_common::ids::{AuditId, TaskId};

    use super::*;
    use crate::task::{Rig, TaskInput, sample_id};

    fn id(text: &str) -> AuditId {
        AuditId::new(text).expect("is an id")
    }

    fn basis(outputs: Vec<NamedBlob>) -> Basis {
        let taken = |phase: &str| Taken {
            shard: ShardId(0),
            phase: phase.to_owned(),
            read: 9,
            scored: 8,
            failed: 1,
            outputs: outputs.clone(),
        };
        let taken = vec![taken("score"), taken("reference"), taken("gather")];
        let since = Since { audit: id("monday"), changes: None, anew: None, taken, drop_list: None };
        Basis {
            scored_by: None,
            reference_of: id("monday"),
            drawn_from_bytes: 1,
            turned_over_bytes: 0,
            since: Some(since),
        }
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
    fn a_score_that_is_gone_is_computed_and_a_part_of_the_reference_set_is_not() {
        assert_eq!(told(MapProgram::Gather, |_| ()).expect("reads"), None, "of a phase that is never taken over");
        let gone = |path: &Path| std::fs::remove_file(path).expect("is ours");
        let damaged = |path: &Path| std::fs::write(path, "tows").expect("is ours");
        for done in [gone as fn(&Path), damaged] {
            assert_eq!(told(MapProgram::Score, done).expect("reads"), None);
            let fault = told(MapProgram::Reference, done).expect_err("would be another");
            assert!(fault.is_fatal() && fault.message.contains("--full"), "{fault}");
        }
        assert!(told(MapProgram::Reference, |_| ()).expect("reads").is_some());
    }
}
