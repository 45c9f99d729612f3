//! Lists the shards and pins their digests, so that a source that changes under the audit is noticed.
//!
//! It must never leave out a shard: one that cannot be read ends the audit before it begins.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use futures::{StreamExt, TryStreamExt, stream};
use lethe_common::fault::Fault;
use lethe_common::ids::{PhaseIndex, ShardId};
use lethe_common::program::MapProgram;
use lethe_engine::Outline;
use lethe_evidence::artifacts::{MAX_REFERENCE_SHARDS, ShardEntry, Shards, names};
use lethe_source::{Pinned, Source, SourceError};

use super::io::blocking;
use super::{ReduceContext, ReduceResult};

/// Files hashed at once: enough to keep a disk busy.
const FILES_AT_ONCE: usize = 4;
/// Objects asked for at once: their answers are waited for, not computed.
const OBJECTS_AT_ONCE: usize = 32;

pub(super) async fn run(ctx: &ReduceContext) -> Result<ReduceResult, Fault> {
    let data = ctx.spec.data.clone();
    let listed = move || {
        let source = Source::of(&data)?;
        let paths = source.expand(&data.shards)?;
        Ok((source, paths))
    };
    let (source, paths) = blocking(move || listed().map_err(unreadable)).await?;
    let root = common_folder(&paths);
    let at_once = if paths.iter().all(|path| path.contains("://")) { OBJECTS_AT_ONCE } else { FILES_AT_ONCE };
    let pinned = (0_u32..).zip(paths).map(|(id, path)| {
        let (root, source) = (root.clone(), source.clone());
        blocking(move || pin((id, path), &root, &source))
    });
    let shards: Vec<ShardEntry> = stream::iter(pinned).buffered(at_once).try_collect().await?;
    let total_bytes = shards.iter().map(|shard| shard.size_bytes).sum();
    let shards = Shards { dataset: ctx.audit.to_string(), shards, total_bytes };
    let outline = outline(ctx, &shards);
    let outputs = vec![ctx.write_json(names::SHARDS, &shards).await?];
    Ok(ReduceResult { outline: Some(outline), ..ReduceResult::of(outputs) })
}

fn pin((id, path): (u32, String), root: &Path, source: &Source) -> Result<ShardEntry, Fault> {
    let Pinned { pin, size_bytes } = source.pin(&path).map_err(unreadable)?;
    let name = Path::new(&path).strip_prefix(root).ok().and_then(Path::to_str).unwrap_or(&path).to_owned();
    Ok(ShardEntry { id, name, path, size_bytes, pin })
}

/// Whoever plans has asked as often as is sensible: the operator must see to it before an audit begins.
fn unreadable(error: SourceError) -> Fault {
    Fault::fatal(error.to_string())
}

/// The deepest folder that holds every shard: what is left of a path is a name that no two share.
fn common_folder(paths: &[String]) -> PathBuf {
    let mut common: Option<PathBuf> = None;
    for parent in paths.iter().filter_map(|path| Path::new(path).parent()) {
        common = Some(match common {
            None => parent.to_owned(),
            Some(so_far) => {
                let same = so_far.components().zip(parent.components()).take_while(|(a, b)| a == b);
                same.map(|(component, _)| component).collect()
            }
        });
    }
    common.unwrap_or_default()
}

fn outline(ctx: &ReduceContext, shards: &Shards) -> Outline {
    let mut samples = BTreeMap::new();
    let reference = (0_u32..).zip(&ctx.phase_names).find(|(_, name)| *name == MapProgram::Reference.as_str());
    if let Some((phase, _)) = reference.filter(|_| shards.shards.len() > MAX_REFERENCE_SHARDS) {
        samples.insert(PhaseIndex(phase), sample(ctx.spec.audit.seed, shards));
    }
    Outline { shards: shards.shards.len() as u32, samples }
}

/// The shards whose seeded names have the smallest hashes.
fn sample(seed: u64, shards: &Shards) -> Vec<ShardId> {
    let hash = |shard: &ShardEntry| lethe_data::key_hash(seed, &shards.dataset, &shard.name, "");
    let mut drawn: Vec<(u64, u32)> = shards.shards.iter().map(|shard| (hash(shard), shard.id)).collect();
    drawn.sort_unstable();
    let mut ids: Vec<ShardId> = drawn.into_iter().take(MAX_REFERENCE_SHARDS).map(|(_, id)| ShardId(id)).collect();
    ids.sort_unstable();
    ids
}

#[cfg(test)]
mod tests {
    use lethe_common::blob::Digest;
    use lethe_common::pin::Pin;

    use super::super::fixture;
    use super::*;

    async fn planned(files: usize, patterns: &str) -> Result<(Shards, Outline), Fault> {
        let (mut ctx, folder) = fixture::context(patterns, &[]).await;
        for n in 0..files {
            std::fs::write(folder.path().join(format!("{n:03}.tar")), format!("shard {n}")).expect("writes");
        }
        for pattern in &mut ctx.spec.data.shards {
            *pattern = folder.path().join(&*pattern).display().to_string();
        }
        ctx.phase_names = vec!["plan".to_owned(), "reference".to_owned()];
        let result = run(&ctx).await?;
        let blob = &result.outputs[0].blob;
        let shards = serde_json::from_slice(&ctx.blobs.get(blob).await.expect("reads")).expect("is a listing");
        Ok((shards, result.outline.expect("has an outline")))
    }

    #[tokio::test]
    async fn every_shard_is_pinned() {
        let (shards, outline) = planned(3, r#"["{000..002}.tar"]"#).await.expect("plans");
        assert_eq!(
            shards.shards.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(),
            ["000.tar", "001.tar", "002.tar"]
        );
        assert_eq!((&shards.shards[2].pin, shards.total_bytes), (&Pin::Digest(Digest::of(b"shard 2")), 21));
        assert_eq!(outline, Outline { shards: 3, samples: BTreeMap::new() });
    }

    #[tokio::test]
    async fn the_reference_phase_reads_a_bounded_sample() {
        let (_, outline) = planned(100, r#"["{000..099}.tar"]"#).await.expect("plans");
        let sample = &outline.samples[&PhaseIndex(1)];
        assert_eq!(sample.len(), MAX_REFERENCE_SHARDS);
        assert!(sample.is_sorted_by(|a, b| a < b) && *sample != (0..64).map(ShardId).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_missing_shard_is_fatal_and_named() {
        for patterns in [r#"["{000..003}.tar"]"#, "[]"] {
            let fault = planned(3, patterns).await.expect_err("is refused");
            assert!(fault.is_fatal() && (patterns == "[]" || fault.message.contains("003.tar")), "{fault}");
        }
    }

    #[test]
    fn names_stay_apart_where_files_are_called_alike() {
        let paths = ["/d/a/0.tar", "/d/b/0.tar", "/d/b/1.tar"].map(str::to_owned);
        assert_eq!(common_folder(&paths), PathBuf::from("/d"));
        assert_eq!(common_folder(&paths[..1]), PathBuf::from("/d/a"));
        let urls = ["s3://b/d/a/0.tar", "s3://b/d/b/0.tar"].map(str::to_owned);
        let root = common_folder(&urls);
        assert_eq!(Path::new(&urls[1]).strip_prefix(&root), Ok(Path::new("b/0.tar")));
    }
}
