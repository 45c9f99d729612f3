//! What goes into the record of a result.
//!
//! It must never depend on when it is made: a late run of a delivery makes the same record as the one that counted.

use std::collections::BTreeMap;

use lethe_common::blob::NamedBlob;
use lethe_common::ids::AuditId;
use lethe_common::record::{Data, Deed, ModelFile, OutputFile, Record, VERSION};
use lethe_common::time::Millis;
use lethe_engine::AuditView;
use lethe_evidence::artifacts::{Shards, names};

use crate::api::done;
use crate::code;

/// What a result rests on.
pub(crate) struct Basis {
    pub model: Vec<ModelFile>,
    pub shards: Option<Shards>,
}

/// The record of a result of these files.
pub(crate) fn of(audit: &AuditId, view: Option<&AuditView>, basis: Basis, files: &[NamedBlob]) -> Record {
    Record {
        version: VERSION,
        audit: audit.clone(),
        rerun_of: view.and_then(|view| view.rerun_of.clone()),
        code: code::built(),
        history: view.map(history).unwrap_or_default(),
        model: basis.model,
        data: basis.shards.as_ref().map(data),
        outputs: files.iter().map(output).collect(),
    }
}

/// Up to the first begin of the delivery, which is durable: what is done to an audit while it is delivered shows in the
/// audit's own history alone.
fn history(view: &AuditView) -> Vec<Deed> {
    let begun = view.phases.last().and_then(|delivery| delivery.started).unwrap_or(Millis(u64::MAX));
    let before = view.deeds.iter().filter(|deed| deed.at <= begun);
    before.map(|deed| Deed { at_ms: deed.at.0, by: deed.by.clone(), what: done(&deed.what).to_owned() }).collect()
}

fn data(shards: &Shards) -> Data {
    let mut pinned = BTreeMap::new();
    for shard in &shards.shards {
        *pinned.entry(shard.pin.shown().0.to_owned()).or_default() += 1;
    }
    let (count, size_bytes) = (shards.shards.len() as u64, shards.total_bytes);
    Data { listing: names::SHARDS.to_owned(), shards: count, size_bytes, pinned }
}

fn output(file: &NamedBlob) -> OutputFile {
    OutputFile { name: file.name.clone(), size_bytes: file.blob.size_bytes, blake3: file.blob.digest }
}
