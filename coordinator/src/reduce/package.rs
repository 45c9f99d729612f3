//! What the operator will get, as blobs of one attempt, in the order of delivery.
//!
//! It must never write outside the blob store, nor hold a checkpoint or a table of all samples in memory: those pass
//! through a scratch folder of this attempt, which goes with it.

use std::fs::{self, File};
use std::path::Path;

use bytes::Bytes;
use lethe_common::blob::NamedBlob;
use lethe_common::fault::Fault;
use tempfile::TempDir;

use super::ReduceContext;
use super::io::{Input, blob_fault, blocking};

pub(super) struct Package<'a> {
    ctx: &'a ReduceContext,
    scratch: TempDir,
    files: Vec<NamedBlob>,
}

impl<'a> Package<'a> {
    pub async fn begin(ctx: &'a ReduceContext) -> Result<Self, Fault> {
        let (scratch, task) = (ctx.blobs.scratch(), &ctx.task);
        let prefix = format!("{}-{}-{}-", task.audit, task.phase, task.attempt);
        let made = blocking(move || {
            let folder = fs::create_dir_all(&scratch)
                .and_then(|()| tempfile::Builder::new().prefix(&prefix).tempdir_in(&scratch));
            folder.map_err(|e| fault(&scratch, &e))
        });
        Ok(Self { ctx, scratch: made.await?, files: Vec::new() })
    }

    pub async fn put(&mut self, name: &'static str, bytes: Bytes) -> Result<(), Fault> {
        self.files.push(self.ctx.write(name, bytes).await?);
        Ok(())
    }

    /// A file that the operator gave, streamed.
    pub async fn put_file(&mut self, name: &'static str, given: Given<'_>) -> Result<(), Fault> {
        given.check()?;
        self.files.push(self.ctx.write_file(name, given.path).await?);
        Ok(())
    }

    /// A scratch file to be written by whoever must stream into it, and then [put](Self::put_created).
    pub fn create(&self, name: &'static str) -> Result<File, Fault> {
        let path = self.scratch.path().join(name);
        File::create(&path).map_err(|e| fault(&path, &e))
    }

    pub async fn put_created(&mut self, name: &'static str) -> Result<(), Fault> {
        let path = self.scratch.path().join(name);
        self.files.push(self.ctx.write_file(name, &path).await?);
        blocking(move || fs::remove_file(&path).map_err(|e| fault(&path, &e))).await
    }

    /// Another phase's output as one of ours: a copy, so that ours need nothing of that phase's.
    pub async fn put_input(&mut self, name: &'static str, input: Input<'_>) -> Result<(), Fault> {
        self.ctx.blobs.get_file(input.blob, &self.scratch.path().join(name)).await.map_err(blob_fault)?;
        self.put_created(name).await
    }

    pub fn finish(self) -> Vec<NamedBlob> {
        self.files
    }
}

/// A file that the spec names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a> {
    field: &'static str,
    path: &'a Path,
}

impl Given<'_> {
    fn check(self) -> Result<(), Fault> {
        let Self { field, path } = self;
        match File::open(path) {
            Ok(_) => Ok(()),
            Err(e) => Err(Fault::fatal(format!("{field} {}: {e}; it was there when the audit began", path.display()))),
        }
    }
}

/// The operator's model config, which a checkpoint is useless without.
pub(super) fn model_config(ctx: &ReduceContext) -> Given<'_> {
    Given { field: "model.config", path: &ctx.spec.model.config }
}

/// The checkpoint under suspicion, for an audit that found nothing against it.
pub(super) fn suspect_checkpoint(ctx: &ReduceContext) -> Result<Given<'_>, Fault> {
    let path = ctx.spec.suspect_checkpoint().ok_or_else(|| Fault::fatal("the spec names no checkpoint"))?;
    Ok(Given { field: "model.checkpoint", path })
}

/// A full disk or a lost mount may be mended before the next try.
fn fault(path: &Path, error: &std::io::Error) -> Fault {
    Fault::storage(format!("scratch {}: {error}; check the folder's rights and free space", path.display()))
}
