//! The files of the phase before, into the result folder, with the spec and a record of what they came from: each appears
//! whole and synced, the last one last.
//!
//! A leader that was deposed may still run this. What it reads are blobs that the store points at, which never change, and
//! what was durable before it began, so that a late run writes the bytes that are there already. For that it must never
//! read anything else, nor take a file's name from data, nor touch what a newer attempt stages.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use lethe_common::blob::NamedBlob;
use lethe_common::fault::Fault;
use lethe_common::ids::{Attempt, TaskId, Term};
use lethe_common::record::{ModelFile, RECORD, SPEC};
use lethe_evidence::artifacts::{Shards, names};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::io::{blob_fault, blocking};
use super::{ReduceContext, ReduceResult};
use crate::planning::MODEL_FILES;
use crate::record::{self, Basis};

/// All that may appear in a result folder, in the order of delivery. The last of a plan's says that all are there.
const FILES: [&str; 12] = [
    "report.html",
    "suspects.parquet",
    "scores.parquet",
    names::EXHIBITS,
    names::SHARDS,
    "clean.json",
    "drop-list.txt",
    names::CLEAN,
    names::REPORT,
    "model.json",
    names::TRAINING,
    names::MODEL,
];

const STAGING: &str = ".staging-";

pub(super) async fn run(ctx: &ReduceContext) -> Result<ReduceResult, Fault> {
    let mut files = files(ctx)?;
    let described = described(ctx, &files).await?;
    // Before the last, which says that all are there.
    files.splice(files.len() - 1..files.len() - 1, described.clone());
    let staging = Staging::of(&ctx.result_folder, &ctx.task);
    staging.begin().await?;
    for file in &files {
        let blob = ctx.blobs.get_file(&file.blob, &staging.folder.join(&file.name)).await;
        blob.map_err(blob_fault)?;
    }
    staging.place(files.into_iter().map(|file| file.name).collect()).await?;
    Ok(ReduceResult::of(described))
}

/// The spec, and the record of these files and of it. As outputs of the delivery they are known to the store by digest.
async fn described(ctx: &ReduceContext, files: &[NamedBlob]) -> Result<Vec<NamedBlob>, Fault> {
    let spec = ctx.write(SPEC, pretty(&ctx.spec)?.into()).await?;
    let files: Vec<NamedBlob> = files.iter().cloned().chain([spec.clone()]).collect();
    let planned = ctx.view.iter().flat_map(|view| &view.phases).flat_map(|phase| &phase.outputs);
    let model: Option<Vec<ModelFile>> = read(ctx, planned, MODEL_FILES).await?;
    let shards: Option<Shards> = read(ctx, files.iter(), names::SHARDS).await?;
    let basis = Basis { model: model.unwrap_or_default(), shards };
    let record = record::of(&ctx.audit, ctx.view.as_ref(), basis, &files);
    Ok(vec![spec, ctx.write(RECORD, pretty(&record)?.into()).await?])
}

async fn read<T: DeserializeOwned>(
    ctx: &ReduceContext,
    mut among: impl Iterator<Item = &NamedBlob>,
    name: &str,
) -> Result<Option<T>, Fault> {
    let Some(found) = among.find(|blob| blob.name == name) else { return Ok(None) };
    let bytes = ctx.blobs.get(&found.blob).await.map_err(blob_fault)?;
    let unread = |e| Fault::fatal(format!("{name} is not what this build writes: {e}"));
    serde_json::from_slice(&bytes).map(Some).map_err(unread)
}

/// For people, who read these two.
fn pretty<T: Serialize>(value: &T) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec_pretty(value).map_err(|e| Fault::fatal(e.to_string()))
}

/// The inputs in the order of delivery, whatever order they are listed in.
fn files(ctx: &ReduceContext) -> Result<Vec<NamedBlob>, Fault> {
    let mut files = Vec::new();
    for file in ctx.inputs.iter().flat_map(|input| &input.blobs) {
        let place = FILES.iter().position(|name| *name == file.name);
        let place = place.ok_or_else(|| {
            Fault::fatal(format!("{:?} is no file of a result; the plan does not fit this build", file.name))
        })?;
        files.push((place, file.clone()));
    }
    files.sort();
    if files.is_empty() || files.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(Fault::fatal("expected every file of the result once; the plan does not fit this build"));
    }
    Ok(files.into_iter().map(|(_, file)| file).collect())
}

/// A folder of this attempt within the result folder, and so on its disk: files move out of it in one step.
#[derive(Debug, Clone)]
struct Staging {
    result: PathBuf,
    folder: PathBuf,
    /// What the staging folders of this task's attempts begin with.
    prefix: String,
    attempt: Attempt,
}

impl Staging {
    fn of(result: &Path, task: &TaskId) -> Self {
        let prefix = format!("{STAGING}{}-{}-", task.audit, task.phase);
        let folder = result.join(format!("{prefix}{}", task.attempt));
        Self { result: result.to_owned(), folder, prefix, attempt: task.attempt }
    }

    /// Begins anew; what this attempt and earlier ones left half-written goes.
    async fn begin(&self) -> Result<(), Fault> {
        let this = self.clone();
        blocking(move || this.clear().and_then(|()| fs::create_dir(&this.folder)).map_err(|e| fault(&this.folder, &e)))
            .await
    }

    fn clear(&self) -> io::Result<()> {
        fs::create_dir_all(&self.result)?;
        for entry in fs::read_dir(&self.result)? {
            let entry = entry?;
            let attempt = entry.file_name().to_str().and_then(|name| attempt(name.strip_prefix(&self.prefix)?));
            if attempt.is_some_and(|attempt| attempt <= self.attempt) {
                fs::remove_dir_all(entry.path()).or_else(unless_gone)?;
            }
        }
        Ok(())
    }

    /// Moves the files, which are whole and synced, to their places. The last moves once the others would outlive a
    /// power cut.
    async fn place(self, names: Vec<String>) -> Result<(), Fault> {
        blocking(move || {
            let (last, others) = names.split_last().expect("a result has files, which was checked");
            others.iter().try_for_each(|name| self.place_one(name))?;
            self.sync()?;
            self.place_one(last)?;
            fs::remove_dir(&self.folder).map_err(|e| fault(&self.folder, &e))?;
            self.sync()
        })
        .await
    }

    fn place_one(&self, name: &str) -> Result<(), Fault> {
        let to = self.result.join(name);
        fs::rename(self.folder.join(name), &to).map_err(|e| fault(&to, &e))
    }

    fn sync(&self) -> Result<(), Fault> {
        File::open(&self.result).and_then(|folder| folder.sync_all()).map_err(|e| fault(&self.result, &e))
    }
}

/// An earlier attempt that still runs may come to its end.
fn unless_gone(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// An attempt as its `Display` writes it.
fn attempt(text: &str) -> Option<Attempt> {
    let (term, counter) = text.split_once('.')?;
    Some(Attempt { term: Term(term.parse().ok()?), counter: counter.parse().ok()? })
}

/// A full disk or a lost mount may be mended before the next try.
fn fault(path: &Path, error: &io::Error) -> Fault {
    Fault::storage(format!("result {}: {error}; check the folder's rights and free space", path.display()))
}

#[cfg(test)]
#[path = "deliver_tests.rs"]
mod tests;
