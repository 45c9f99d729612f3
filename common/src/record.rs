//! What an audit's result came from and what it holds, by digests: `record.json`, beside the files that it names.
//!
//! It must never hold a secret, nor a digest that nobody took.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::blob::Digest;
use crate::ids::AuditId;

/// Its name in a result folder.
pub const RECORD: &str = "record.json";
/// The spec as the audit ran it: resolved, every default written out. It names variables and files of credentials, and has
/// no field for a credential itself.
pub const SPEC: &str = "spec.json";

/// Of the form below. A later one may say more, and is another number only where it says something else.
pub const VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub version: u32,
    pub audit: AuditId,
    /// The audit whose first phases it took over, where it is a re-run.
    pub rerun_of: Option<AuditId>,
    pub code: Code,
    /// What people did to the audit before it was delivered, in order.
    pub history: Vec<Deed>,
    /// The model's files, as the coordinator found them when the audit was planned. Empty where an older release planned it.
    pub model: Vec<ModelFile>,
    pub data: Option<Data>,
    /// Every file of the result but this one, with the spec.
    pub outputs: Vec<OutputFile>,
}

/// The build of the coordinator that delivered the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    pub release: String,
    /// Absent where the build was not told it.
    pub commit: Option<String>,
    /// Of the code that trains, scores, chooses and judges, without comments and tests.
    pub method: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    pub at_ms: u64,
    pub by: String,
    pub what: String,
}

/// A file that the spec names. Of a checkpoint in several files the index and each of them are one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFile {
    /// Such as "model.checkpoint".
    pub field: String,
    pub path: PathBuf,
    #[serde(flatten)]
    pub found: Found,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Found {
    Whole { size_bytes: u64, blake3: Digest },
    Unread { problem: String },
}

/// The shards, by the listing that pins each of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// The output file that is the listing.
    pub listing: String,
    pub shards: u64,
    pub size_bytes: u64,
    /// How many shards are pinned by what: "BLAKE3" of all bytes, or the store's own "ETag" or "modified".
    pub pinned: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputFile {
    pub name: String,
    pub size_bytes: u64,
    pub blake3: Digest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_later_fields_are_passed_over() {
        let file = |found| ModelFile { field: "model.checkpoint".to_owned(), path: "/m".into(), found };
        let record = Record {
            version: VERSION,
            audit: AuditId::new("march").expect("is an id"),
            rerun_of: None,
            code: Code { release: "0.1.0".to_owned(), commit: None, method: "a1".to_owned() },
            history: vec![Deed { at_ms: 1, by: "ann".to_owned(), what: "submitted".to_owned() }],
            model: vec![
                file(Found::Whole { size_bytes: 0, blake3: Digest::of(b"") }),
                file(Found::Unread { problem: "it is gone".to_owned() }),
            ],
            data: None,
            outputs: vec![OutputFile { name: SPEC.to_owned(), size_bytes: 0, blake3: Digest::of(b"") }],
        };
        let mut json = serde_json::to_value(&record).expect("is JSON");
        json["since"] = "a later release".into();
        assert_eq!(serde_json::from_value::<Record>(json).expect("is a record"), record);
    }
}
