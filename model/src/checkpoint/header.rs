//! The header of a safetensors file: which tensors it has, and whether what it says of them can be true.
//!
//! It must never believe a length: every number is checked against the bytes that are there before anything is made of it.

use std::collections::BTreeMap;

use safetensors::tensor::Dtype;
use serde::Deserialize;

use super::entries::Entries;
use crate::error::{ModelError, Result};

/// Bytes of a safetensors file before its header: the header's length, u64 little-endian.
const LENGTH_BYTES: usize = 8;
/// The largest CLIP models have some 1,500 tensors and headers of 200 KB.
const MAX_HEADER_BYTES: u64 = 8 << 20;
/// Where the table of contents of a model's zip lies: some hundred names.
const ZIP_CONTENTS_BYTES: usize = 1 << 20;
const SCRIPT: &[u8] = b"constants.pkl";
const METADATA: &str = "__metadata__";

/// What a header says of one tensor.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub dtype: Dtype,
    pub shape: Vec<i64>,
    /// Where it begins and ends among the file's data.
    start: u64,
    end: u64,
}

#[derive(Deserialize)]
#[serde(expecting = "an object of dtype, shape and data_offsets")]
struct Raw {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// The tensors of a whole file by name.
///
/// # Errors
/// `Pickle`, `TorchScript`, `Truncated`, `NotSafetensors`, `DuplicateTensor`, `WrongDtype`, `WrongOffsets`.
pub(crate) fn whole(bytes: &[u8]) -> Result<BTreeMap<String, Entry>> {
    let (start, entries) = read(bytes)?;
    let want = start.saturating_add(entries.values().map(|entry| entry.end).max().unwrap_or(0));
    let have = bytes.len() as u64;
    if have < want {
        return Err(ModelError::Truncated { have, want });
    }
    cover(&entries)?;
    if have > want {
        let message = format!("it has {have} bytes where its header knows of {want}");
        return Err(ModelError::NotSafetensors(message));
    }
    Ok(entries)
}

/// The same from the file's first bytes, data or no data after the header.
pub(crate) fn read(bytes: &[u8]) -> Result<(u64, BTreeMap<String, Entry>)> {
    let (start, json) = text(bytes)?;
    let raw: Entries<serde_json::Value> =
        serde_json::from_slice(json).map_err(|e| ModelError::NotSafetensors(format!("its header is no JSON: {e}")))?;
    let mut entries = BTreeMap::new();
    for (name, value) in raw.0 {
        if name == METADATA {
            continue;
        }
        let entry = entry(&name, value)?;
        if entries.insert(name.clone(), entry).is_some() {
            return Err(ModelError::DuplicateTensor { name, place: "the header".to_owned() });
        }
    }
    Ok((start, entries))
}

/// A zip of torch.save, or of torch.jit.save, whose table of contents, at the end, has the constants of its code.
fn pickle(bytes: &[u8]) -> ModelError {
    let contents = &bytes[bytes.len().saturating_sub(ZIP_CONTENTS_BYTES)..];
    let is_script = contents.windows(SCRIPT.len()).any(|window| window == SCRIPT);
    if is_script { ModelError::TorchScript } else { ModelError::Pickle }
}

/// Where the data begin, and the header's text.
fn text(bytes: &[u8]) -> Result<(u64, &[u8])> {
    // A safetensors header starts with a brace at its ninth byte, whatever its length looks like.
    let has_brace = bytes.get(LENGTH_BYTES) == Some(&b'{');
    if !has_brace && (bytes.starts_with(b"PK") || bytes.first() == Some(&0x80)) {
        return Err(pickle(bytes));
    }
    if !has_brace {
        return Err(ModelError::NotSafetensors("it does not begin with a header's length and a brace".to_owned()));
    }
    let mut length = [0; LENGTH_BYTES];
    length.copy_from_slice(&bytes[..LENGTH_BYTES]);
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER_BYTES {
        let message = format!("its header claims {length} bytes, more than the {MAX_HEADER_BYTES} allowed");
        return Err(ModelError::NotSafetensors(message));
    }
    let start = LENGTH_BYTES + length as usize;
    let text = bytes.get(LENGTH_BYTES..start);
    let text = text.ok_or(ModelError::Truncated { have: bytes.len() as u64, want: start as u64 })?;
    Ok((start as u64, text))
}

fn entry(name: &str, value: serde_json::Value) -> Result<Entry> {
    let raw: Raw = serde_json::from_value(value)
        .map_err(|e| ModelError::NotSafetensors(format!("its header's entry {name:?} is broken: {e}")))?;
    let dtype: Dtype = serde_json::from_value(raw.dtype.clone().into())
        .map_err(|_| ModelError::WrongDtype { name: name.to_owned(), dtype: raw.dtype.clone() })?;
    let (start, end) = raw.data_offsets;
    let wrong = |why: String| ModelError::WrongOffsets { name: name.to_owned(), start, end, why };
    // A side of 0 must not hide how large the others are.
    let bits = raw.shape.iter().try_fold(dtype.bitsize() as u64, |bits, side| bits.checked_mul((*side).max(1)));
    if bits.is_none_or(|bits| i64::try_from(bits).is_err()) {
        return Err(wrong(format!("the shape {:?} is larger than any memory", raw.shape)));
    }
    let bytes = raw.shape.iter().product::<u64>() * dtype.bitsize() as u64 / 8;
    if end.checked_sub(start) != Some(bytes) {
        return Err(wrong(format!("the shape {:?} of {} needs {bytes} bytes", raw.shape, raw.dtype)));
    }
    Ok(Entry { dtype, shape: raw.shape.iter().map(|side| *side as i64).collect(), start, end })
}

/// The tensors lie one after the other, without a gap and without sharing a byte.
fn cover(entries: &BTreeMap<String, Entry>) -> Result<()> {
    let mut ordered: Vec<(&String, &Entry)> = entries.iter().collect();
    ordered.sort_by_key(|(_, entry)| (entry.start, entry.end));
    let mut free = 0;
    for (name, &Entry { start, end, .. }) in ordered {
        if start != free {
            let why = format!("the tensor before it ends at {free}");
            return Err(ModelError::WrongOffsets { name: name.clone(), start, end, why });
        }
        free = end;
    }
    Ok(())
}
