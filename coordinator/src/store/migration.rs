//! From schema 1, which kept the shards of a map in pages of JSON and the term as a number, to schema 2.
//!
//! It must never be needed for etcd, where no release wrote schema 1, and never be half done: the caller applies
//! it in one transaction.

use std::collections::BTreeMap;

use lethe_common::blob::{NamedBlob, parse_attempt_path};
use lethe_common::ids::{Attempt, AuditId, PhaseIndex, ShardId, Term};
use lethe_engine::{Counts, Fate, RecordKey, SegmentRecord, ShardResult, StoredBlob};
use serde::Deserialize;

use super::{Fence, StoreError, key, segment};

/// The schema that this reads.
pub(super) const FROM: u64 = 1;

#[derive(Deserialize)]
enum Old {
    Page(AuditId, PhaseIndex, u32, OldPage),
}

#[derive(Deserialize)]
struct OldPage {
    done: BTreeMap<ShardId, OldResult>,
}

#[derive(Deserialize)]
struct OldResult {
    outputs: Vec<NamedBlob>,
    counts: Counts,
}

/// What takes the place of a record of schema 1, where it does not stay as it is.
///
/// # Errors
/// [`StoreError::Damaged`] names a page that is none.
pub(super) fn moved(from: &str, value: &[u8]) -> Result<Option<(String, Vec<u8>)>, StoreError> {
    if !from.contains("/page/") {
        return Ok(None); // audits and phases only gained fields, which have defaults
    }
    let damaged = |reason: String| StoreError::Damaged { key: from.to_owned(), reason };
    let Old::Page(audit, phase, page, old) = serde_json::from_slice(value).map_err(|e| damaged(e.to_string()))?;
    let entries = old.done.into_iter().map(|(shard, result)| (shard, Fate::Done(result.packed()))).collect();
    let home = key::encode(&RecordKey::Segment(audit, phase, page));
    Ok(Some((home, segment::encode(&SegmentRecord { entries }))))
}

/// The last term, from which the next election counts on.
///
/// # Errors
/// What is no number.
pub(super) fn fence(value: &[u8]) -> Result<Fence, serde_json::Error> {
    Ok(Fence { term: Term(serde_json::from_slice(value)?), batch: 0 })
}

impl OldResult {
    /// The attempt was not stored; the outputs' paths have it. A shard without outputs needs none.
    fn packed(self) -> ShardResult {
        let of = |output: &NamedBlob| parse_attempt_path(&output.blob.path).map(|(task, _)| task.attempt);
        let attempt = self.outputs.iter().find_map(of).unwrap_or(Attempt { term: Term(0), counter: 0 });
        let stored = |output: NamedBlob| StoredBlob {
            name: output.name.into(),
            size_bytes: output.blob.size_bytes,
            digest: output.blob.digest,
        };
        ShardResult { attempt, outputs: self.outputs.into_iter().map(stored).collect(), counts: self.counts }
    }
}

#[cfg(test)]
mod tests {
    use lethe_engine::{PhaseKind, PhaseRecord};

    use super::*;

    /// As release 0.1.0 wrote it.
    const PAGE: &str = r#"{"Page":["drill",2,1,{"done":{"65":{"outputs":[{"name":"signals.parquet","blob":{"path":
        "drill/002/0000065/3.1/signals.parquet","size_bytes":9,"digest":
        "0101010101010101010101010101010101010101010101010101010101010101"}}],
        "counts":{"read":3,"scored":2,"failed":1}}}}]}"#;

    #[test]
    fn a_page_becomes_a_segment_whose_blobs_lie_where_they_lay() {
        let (key, value) =
            moved("audit/drill/phase/00002/page/0000001", PAGE.as_bytes()).expect("reads").expect("moves");
        assert_eq!(key, "audit/drill/phase/00002/segment/0000001");
        let record = segment::decode(&value).expect("is one");
        let [(ShardId(65), Fate::Done(result))] = &record.entries[..] else { panic!("{record:?}") };
        let drill = AuditId::new("drill").expect("is an id");
        let blobs = result.blobs(&drill, PhaseIndex(2), ShardId(65));
        assert_eq!(blobs[0].blob.path, "drill/002/0000065/3.1/signals.parquet");
        assert_eq!(result.counts, Counts { read: 3, scored: 2, failed: 1 });
    }

    #[test]
    fn a_gang_of_the_release_before_waits_for_all_and_has_no_checkpoint() {
        let kind = serde_json::from_str(r#"{"Gang":{"program":"train","world_size":2}}"#).expect("is read");
        assert_eq!(PhaseKind::Gang { program: "train".to_owned(), world_size: 2, floor: None }, kind);
        let phase = r#"{"state":"Running","started":7,"generation":3,"retries":1,"outputs":[]}"#;
        let record: PhaseRecord = serde_json::from_str(phase).expect("is read");
        assert_eq!(record.checkpoint, None);
    }

    #[test]
    fn other_records_stay_and_damage_is_named() {
        assert_eq!(moved("audit/drill/0", b"{}").expect("is not looked at"), None);
        let error = moved("audit/drill/phase/00002/page/0000001", b"{").expect_err("is damaged");
        assert!(error.to_string().contains("page/0000001"), "{error}");
    }
}
