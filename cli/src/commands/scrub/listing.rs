//! The shards that an audit was planned with, from its result folder.
//!
//! It must never take the listing of an attempt that was given up where a later one is there.

use std::path::{Path, PathBuf};

use lethe_common::blob::parse_attempt_path;
use lethe_evidence::artifacts::{self, Report, Shards, names};

use crate::exit::bad_input;

/// Where `lethe audit` keeps the blobs of its phases, under the result folder.
const BLOBS: &str = ".lethe/blobs";
/// The first phase of every audit, and its only task.
const PLAN: &str = "000/0000000";

/// # Errors
/// Bad input: a folder that is no audit's result, or one without the listing.
pub fn read(result: &Path, given: Option<&Path>) -> anyhow::Result<Shards> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => find(result)?,
    };
    let bytes = std::fs::read(&path).map_err(|e| bad_input(format!("listing {}: {e}", path.display())))?;
    let shards: Shards =
        artifacts::decode(names::SHARDS, &bytes).map_err(|e| bad_input(format!("listing {}: {e}", path.display())))?;
    let numbered = (0_u32..).zip(&shards.shards).all(|(id, shard)| id == shard.id);
    if !numbered || shards.shards.is_empty() {
        return Err(bad_input(format!("listing {}: its shards are not numbered from 0", path.display())));
    }
    Ok(shards)
}

fn find(result: &Path) -> anyhow::Result<PathBuf> {
    let delivered = result.join(names::SHARDS);
    if delivered.is_file() {
        return Ok(delivered);
    }
    let audit = report(result)?.audit;
    let plan = result.join(BLOBS).join(&audit).join(PLAN);
    let attempts = std::fs::read_dir(&plan).into_iter().flatten().filter_map(Result::ok);
    let listings = attempts.filter_map(|entry| {
        let attempt = entry.file_name().into_string().ok()?;
        let path = format!("{audit}/{PLAN}/{attempt}/{}", names::SHARDS);
        let (task, _) = parse_attempt_path(&path)?;
        Some((task.attempt, entry.path().join(names::SHARDS))).filter(|(_, listing)| listing.is_file())
    });
    listings.max().map(|(_, listing)| listing).ok_or_else(|| {
        bad_input(format!(
            "{} has no listing of the shards; give it with --listing: it is blobs/{audit}/{PLAN}/*/{} in the \
             coordinator's work folder",
            result.display(),
            names::SHARDS
        ))
    })
}

fn report(result: &Path) -> anyhow::Result<Report> {
    let path = result.join(names::REPORT);
    let bytes = std::fs::read(&path).map_err(|e| {
        bad_input(format!("{}: {e}; expected the result folder of an audit that is through", path.display()))
    })?;
    artifacts::decode(names::REPORT, &bytes).map_err(|e| bad_input(format!("{}: {e}", path.display())))
}
