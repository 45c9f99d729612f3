//! The result folder: files appear in it whole and synced, the last of them last.
//!
//! It must never take a file's name from data: every name here is one of this build's own.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use lethe_common::fault::Fault;
use lethe_common::ids::Attempt;
use lethe_evidence::artifacts::names;

use super::io::blocking;
use super::{ReduceContext, ReduceResult};

const STAGING: &str = ".staging-";

/// Files on their way into the result folder, in a folder of this attempt beside them.
#[derive(Debug, Clone)]
pub(super) struct Staged {
    folder: PathBuf,
    staging: PathBuf,
    files: Vec<&'static str>,
}

impl Staged {
    /// Begins anew; what an earlier attempt left half-written goes.
    pub async fn begin(folder: PathBuf, attempt: Attempt) -> Result<Self, Fault> {
        blocking(move || {
            let staging = folder.join(format!("{STAGING}{attempt}"));
            clear(&folder).and_then(|()| fs::create_dir_all(&staging)).map_err(|e| fault(&staging, &e))?;
            Ok(Self { folder, staging, files: Vec::new() })
        })
        .await
    }

    /// A file to be written, by whoever must stream into it.
    pub fn create(&mut self, name: &'static str) -> Result<File, Fault> {
        let path = self.staging.join(name);
        self.files.push(name);
        File::create(&path).map_err(|e| fault(&path, &e))
    }

    pub async fn write(&mut self, name: &'static str, bytes: Bytes) -> Result<(), Fault> {
        let mut file = self.create(name)?;
        let path = self.staging.join(name);
        blocking(move || file.write_all(&bytes).map_err(|e| fault(&path, &e))).await
    }

    /// Syncs every file and moves it to its place, in the order of writing: the last one's presence
    /// says that all are there.
    pub async fn publish(self) -> Result<(), Fault> {
        blocking(move || {
            for name in &self.files {
                let path = self.staging.join(name);
                File::open(&path).and_then(|file| file.sync_all()).map_err(|e| fault(&path, &e))?;
            }
            for name in &self.files {
                let to = self.folder.join(name);
                fs::rename(self.staging.join(name), &to).map_err(|e| fault(&to, &e))?;
            }
            let ended = fs::remove_dir(&self.staging).and_then(|()| File::open(&self.folder)?.sync_all());
            ended.map_err(|e| fault(&self.folder, &e))
        })
        .await
    }
}

fn clear(folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(STAGING) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// A full disk or a lost mount may be mended before the next try.
fn fault(path: &Path, error: &std::io::Error) -> Fault {
    Fault::retryable(format!("result {}: {error}; check the folder's rights and free space", path.display()))
}

/// The operator's model config, which a checkpoint is useless without.
pub(super) async fn model_config(ctx: &ReduceContext) -> Result<Bytes, Fault> {
    given("model.config", ctx.spec.model.config.clone()).await
}

/// The checkpoint under suspicion, for an audit that found nothing against it.
pub(super) async fn suspect_checkpoint(ctx: &ReduceContext) -> Result<Bytes, Fault> {
    let path = ctx.spec.suspect_checkpoint().ok_or_else(|| Fault::fatal("the spec names no checkpoint"))?;
    given("model.checkpoint", path.to_owned()).await
}

/// A file that the spec names.
async fn given(field: &'static str, path: PathBuf) -> Result<Bytes, Fault> {
    blocking(move || match fs::read(&path) {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) => {
            Err(Fault::fatal(format!("{field} {}: {error}; it was there when the audit began", path.display())))
        }
    })
    .await
}

/// The train plan's end: the trained checkpoint and its config.
pub(super) async fn run(ctx: &ReduceContext) -> Result<ReduceResult, Fault> {
    let checkpoint = ctx.bytes(ctx.only(names::MODEL)?).await?;
    let mut staged = Staged::begin(ctx.result_folder.clone(), ctx.task.attempt).await?;
    staged.write("model.json", model_config(ctx).await?).await?;
    staged.write(names::MODEL, checkpoint).await?;
    staged.publish().await?;
    Ok(ReduceResult::default())
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn listed(folder: &Path) -> Vec<String> {
        let name =
            |entry: std::io::Result<fs::DirEntry>| entry.expect("lists").file_name().to_string_lossy().into_owned();
        let mut names: Vec<String> = fs::read_dir(folder).expect("lists").map(name).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_trained_checkpoint_is_published_whole() {
        let (ctx, _folder) = fixture::context("[]", &[(0, names::MODEL, "weights")]).await;
        fs::create_dir_all(ctx.result_folder.join(".staging-0.1")).expect("leaves an earlier attempt");
        run(&ctx).await.expect("publishes");
        assert_eq!(listed(&ctx.result_folder), ["model.json", "model.safetensors"]);
        assert_eq!(fs::read(ctx.result_folder.join("model.safetensors")).expect("reads"), b"weights");
        run(&ctx).await.expect("publishes once more over it");
    }

    #[tokio::test]
    async fn nothing_is_published_before_all_is_written() {
        let (ctx, _folder) = fixture::context("[]", &[(0, names::MODEL, "weights")]).await;
        fs::remove_file(&ctx.spec.model.config).expect("removes the config");
        assert!(run(&ctx).await.expect_err("lacks its config").message.contains("model.config"));
        assert!(listed(&ctx.result_folder).iter().all(|name| name.starts_with(STAGING)));
    }
}
