//! The shards, by the listing that pins each of them.
//!
//! It must never call a shard unchanged by anything weaker than what it was pinned by.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use lethe_common::pin::Pin;
use lethe_common::record::{Data, Record, SPEC};
use lethe_evidence::artifacts::{self, ShardEntry, Shards, names};
use lethe_source::{Pinned, Source};

use super::finding::{Finding, State};
use super::{files, spec};
use crate::arguments::Verify;
use crate::commands::scrub::places;

/// Enough to keep a disk busy, and to hide what a store takes to answer.
const THREADS: usize = 4;

/// `vouched`: whether somebody outside of the folder has said that the record is the audit's own.
pub fn look(arguments: &Verify, record: &Record, vouched: bool) -> anyhow::Result<Vec<Finding>> {
    let asked = arguments.data || !arguments.shards.is_empty();
    let data = match &record.data {
        Some(data) if asked => data,
        Some(data) => return Ok(vec![left_out(data)]),
        None if asked => return Ok(vec![unread("the record names no listing of the shards").asked()]),
        None => return Ok(Vec::new()),
    };
    let opened = listing(&arguments.result, data).and_then(|shards| Ok((shards, source(arguments, record, vouched)?)));
    let (shards, source) = match opened {
        Ok(opened) => opened,
        Err(problem) => return Ok(vec![unread(&problem).asked()]),
    };
    let paths = places::of(&shards, &arguments.shards, &source)?;
    let jobs: Vec<(&ShardEntry, String)> = shards.shards.iter().zip(paths).collect();
    let mut findings = read_again(&jobs, &source);
    let well = jobs.len() - findings.len();
    if well > 0 {
        findings.push(Finding::new("shards", State::Ok, format!("{well} of {} are as they were", jobs.len())).asked());
    }
    Ok(findings)
}

fn left_out(data: &Data) -> Finding {
    let pinned: Vec<String> = data.pinned.iter().map(|(what, count)| format!("{count} by {what}")).collect();
    unread(&format!("{} of them, pinned {}; --data reads them again", data.shards, pinned.join(", ")))
}

fn unread(problem: &str) -> Finding {
    Finding::new("shards", State::NotChecked, problem)
}

fn listing(result: &Path, data: &Data) -> Result<Shards, String> {
    // The name is ours and not the record's: a record may have been changed.
    let path = result.join(names::SHARDS);
    let bytes = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let shards: Shards = artifacts::decode(&data.listing, &bytes).map_err(|e| e.to_string())?;
    if shards.shards.len() as u64 != data.shards {
        return Err(format!("the listing has {} shards, and the record {}", shards.shards.len(), data.shards));
    }
    Ok(shards)
}

/// Stores are reached as the audit reached them: by what its spec names in this process's environment. So that spec must be one that
/// the caller gives, or the one that the audit ran for certain: a folder that somebody changed could name his own server, and have
/// these credentials sent there.
fn source(arguments: &Verify, record: &Record, vouched: bool) -> Result<Source, String> {
    let spec = match &arguments.spec {
        Some(given) => lethe_common::spec::load(given).map_err(|e| e.to_string())?,
        None => {
            let spec = spec::read(&arguments.result)?;
            let kept = record.outputs.iter().find(|file| file.name == SPEC);
            let kept = kept.is_some_and(|file| files::of_result(&arguments.result, file).state == State::Ok);
            let is_known = vouched && kept;
            if !is_known && !spec.data.stores.is_empty() {
                return Err("its spec names stores, and credentials for them, and nobody outside of the folder vouches for it; give --spec, \
                            --record or --coordinator"
                    .to_owned());
            }
            spec
        }
    };
    Source::of(&spec.data).map_err(|e| e.to_string())
}

/// What is not as it was, in the order of the shards.
fn read_again(jobs: &[(&ShardEntry, String)], source: &Source) -> Vec<Finding> {
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS.min(jobs.len()) {
            scope.spawn(|| {
                while let Some((at, job)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, jobs.get(at)?)))
                {
                    if let Some(finding) = compared(job.0, &job.1, source) {
                        found.lock().expect("no thread panics with it").push((at, finding));
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().expect("no thread panicked with it");
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, finding)| finding.asked()).collect()
}

/// None where it is as it was.
fn compared(shard: &ShardEntry, path: &str, source: &Source) -> Option<Finding> {
    let what = format!("shard {path}");
    let Pinned { pin, size_bytes } = match source.pin(path) {
        Ok(pinned) => pinned,
        Err(error) => return Some(Finding::new(what, State::Missing, error.to_string())),
    };
    if size_bytes != shard.size_bytes {
        let why = format!("it had {} bytes and has {size_bytes}", shard.size_bytes);
        return Some(Finding::new(what, State::Changed, why));
    }
    let ((was_by, was), (is_by, is)) = (shard.pin.shown(), pin.shown());
    match (&shard.pin, &pin) {
        (was, is) if was == is => None,
        (Pin::Digest(_), Pin::Digest(_)) | (Pin::Etag(_), Pin::Etag(_)) | (Pin::Modified(_), Pin::Modified(_)) => {
            Some(Finding::new(what, State::Changed, format!("its {was_by} was {was} and is {is}")))
        }
        (Pin::Digest(_) | Pin::Etag(_) | Pin::Modified(_), _) => {
            let why = format!("it was pinned by {was_by}, and where it lies now there is {is_by} alone");
            Some(Finding::new(what, State::NotChecked, why))
        }
    }
}
