//! A batch fits its limits: those of etcd, with room for the fence.

use lethe_engine::{Change, Record};

use super::Seen;

const MAX_CHANGES: usize = 120;
const MAX_BYTES: usize = 1 << 20;
/// What one segment may come to.
const MAX_SEGMENT_BYTES: usize = 9 << 10;

pub fn check(seen: &Seen<'_>) -> Result<(), String> {
    let batch = seen.batch();
    if batch.len() > MAX_CHANGES {
        return Err(format!("a batch of {} changes", batch.len()));
    }
    let bytes: usize = batch.iter().map(size_bytes).sum();
    let segment = batch.iter().filter(|c| matches!(c, Change::Put(Record::Segment(..)))).map(size_bytes).max();
    match segment {
        _ if bytes > MAX_BYTES => Err(format!("a batch of {bytes} bytes")),
        Some(bytes) if bytes > MAX_SEGMENT_BYTES => Err(format!("a segment of {bytes} bytes")),
        Some(_) | None => Ok(()),
    }
}

/// About what a store would write.
fn size_bytes(change: &Change) -> usize {
    match change {
        Change::Put(Record::Audit(_, record)) => {
            1_000 + record.spec_json.len() + record.outline.as_ref().map_or(0, |o| o.samples.len() * 4)
        }
        Change::Put(Record::Phase(_, _, record)) => 200 + record.notes.iter().map(String::len).sum::<usize>(),
        Change::Put(Record::Segment(_, _, _, record)) => record.entries.len() * 60,
        Change::Forget(_) => 100,
    }
}
