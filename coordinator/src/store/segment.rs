//! Segments as bytes: a checksum, then postcard, each output's name once.
//!
//! It must never read what it did not write: the checksum comes first.

use std::sync::Arc;

use lethe_common::blob::Digest;
use lethe_common::ids::{Attempt, AuditId, PhaseIndex, ShardId, Term};
use lethe_engine::{Counts, Fate, RecordKey, SegmentRecord, ShardResult, StoredBlob};
use serde::{Deserialize, Serialize};

use super::key;

/// Of BLAKE3: enough to notice what a disk or a stranger did.
const CHECKSUM_BYTES: usize = 8;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Packed {
    names: Vec<String>,
    entries: Vec<(u32, PackedFate)>,
}

#[derive(Debug, Serialize, Deserialize)]
enum PackedFate {
    Done { term: u64, counter: u64, outputs: Vec<(u32, u64, [u8; 32])>, read: u64, scored: u64, failed: u64 },
    Quarantined { tries: u32, reason: String },
}

/// The segment that a key is of, where it is a segment's.
pub(super) fn key(text: &str) -> Option<RecordKey> {
    let mut parts = text.split('/').skip(1);
    let audit = AuditId::new(parts.next()?).ok()?;
    let (phase, number) = (parts.nth(1)?.parse().ok()?, parts.nth(1)?.parse().ok()?);
    let parsed = RecordKey::Segment(audit, PhaseIndex(phase), number);
    (key::encode(&parsed) == text).then_some(parsed)
}

pub(super) fn encode(record: &SegmentRecord) -> Vec<u8> {
    let mut packed = Packed::default();
    for (shard, fate) in &record.entries {
        let fate = pack(fate, &mut packed.names);
        packed.entries.push((shard.0, fate));
    }
    let body = postcard::to_allocvec(&packed).expect("numbers and texts are always written");
    let mut value = checksum(&body).to_vec();
    value.extend(body);
    value
}

fn pack(fate: &Fate, names: &mut Vec<String>) -> PackedFate {
    let mut place = |name: &str| match names.iter().position(|known| known == name) {
        Some(place) => place as u32,
        None => {
            names.push(name.to_owned());
            names.len() as u32 - 1
        }
    };
    match fate {
        Fate::Done(result) => {
            let output = |blob: &StoredBlob| (place(&blob.name), blob.size_bytes, blob.digest.0);
            let outputs = result.outputs.iter().map(output).collect();
            let (Attempt { term, counter }, Counts { read, scored, failed }) = (result.attempt, result.counts);
            PackedFate::Done { term: term.0, counter, outputs, read, scored, failed }
        }
        Fate::Quarantined { tries, reason } => PackedFate::Quarantined { tries: *tries, reason: reason.clone() },
    }
}

/// # Errors
/// What is wrong with the value.
pub(super) fn decode(value: &[u8]) -> Result<SegmentRecord, String> {
    let (sum, body) = value.split_at_checked(CHECKSUM_BYTES).ok_or("it is too short for a segment")?;
    if checksum(body) != sum {
        return Err("its checksum does not fit".to_owned());
    }
    let packed: Packed = postcard::from_bytes(body).map_err(|e| e.to_string())?;
    let names: Vec<Arc<str>> = packed.names.iter().map(|name| Arc::from(name.as_str())).collect();
    let entries = packed.entries.into_iter().map(|(shard, fate)| Ok((ShardId(shard), unpack(fate, &names)?)));
    Ok(SegmentRecord { entries: entries.collect::<Result<_, String>>()? })
}

fn unpack(fate: PackedFate, names: &[Arc<str>]) -> Result<Fate, String> {
    Ok(match fate {
        PackedFate::Done { term, counter, outputs, read, scored, failed } => {
            let stored = |(place, size_bytes, digest): (u32, u64, [u8; 32])| {
                let name = names.get(place as usize).ok_or("it names an output that it does not list")?;
                Ok(StoredBlob { name: name.clone(), size_bytes, digest: Digest(digest) })
            };
            let outputs = outputs.into_iter().map(stored).collect::<Result<_, String>>()?;
            let (attempt, counts) = (Attempt { term: Term(term), counter }, Counts { read, scored, failed });
            Fate::Done(ShardResult { attempt, outputs, counts })
        }
        PackedFate::Quarantined { tries, reason } => Fate::Quarantined { tries, reason },
    })
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest = blake3::hash(body);
    std::array::from_fn(|at| digest.as_bytes()[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> SegmentRecord {
        let blob = |name: &str, byte| StoredBlob { name: Arc::from(name), size_bytes: 7, digest: Digest([byte; 32]) };
        let done = |counter| {
            let outputs = Box::new([blob("signals.parquet", 1), blob("digest.json", 2)]);
            let attempt = Attempt { term: Term(3), counter };
            Fate::Done(ShardResult { attempt, outputs, counts: Counts { read: 300, scored: 299, failed: 1 } })
        };
        let lost = Fate::Quarantined { tries: 5, reason: "worker w: it died".to_owned() };
        SegmentRecord { entries: vec![(ShardId(9), done(0)), (ShardId(4), done(200)), (ShardId(5), lost)] }
    }

    #[test]
    fn a_segment_comes_back_and_names_are_written_once() {
        let value = encode(&record());
        assert_eq!(decode(&value), Ok(record()));
        let text = String::from_utf8_lossy(&value);
        assert_eq!(text.matches("signals.parquet").count(), 1);
        assert!(value.len() < 240, "{} bytes for two shards of two outputs", value.len());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let value = encode(&record());
        for at in 0..value.len() {
            let mut damaged = value.clone();
            damaged[at] ^= 1;
            decode(&damaged).expect_err("was damaged");
            decode(&value[..at]).expect_err("was cut");
        }
    }

    #[test]
    fn only_a_segments_own_key_is_one() {
        let audit = AuditId::new("a").expect("is an id");
        let own = RecordKey::Segment(audit, PhaseIndex(2), 31);
        assert_eq!(key(&key::encode(&own)), Some(own));
        for other in
            ["audit/a/0", "audit/a/phase/00002", "audit/a/phase/2/segment/31", "audit/a/phase/00002/page/0000031"]
        {
            assert_eq!(key(other), None, "{other}");
        }
    }
}
