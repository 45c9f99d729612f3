//! The record itself, beside what others have of it: the audit's state, here or at a coordinator, or a note.
//!
//! It must never take the record's own word for its digest.

use std::path::Path;

use lethe_common::blob::Digest;
use lethe_common::record::{RECORD, Record};
use lethe_coordinator::store::{Store, records};
use lethe_engine::Record as Stored;
use lethe_proto::v1::GetAuditRequest;

use super::finding::{Finding, State};
use crate::arguments::Verify;
use crate::exit::bad_input;
use crate::reach::{Client, Coordinators, Patience};

/// The store of an audit that ran here, under its result folder.
const STORE: &str = ".lethe/store.redb";

const HERE: &str = "the audit's state in .lethe";
const THERE: &str = "the coordinator's state";

pub fn look(arguments: &Verify, record: &Record, found: Digest) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let store = arguments.result.join(STORE);
    if store.is_file() {
        findings.push(match here(&store, record) {
            Ok(kept) => compared(HERE, kept.ok_or(record), found),
            Err(problem) => untold(HERE, &problem),
        });
    }
    if let Some(noted) = &arguments.record {
        let noted = Digest::try_from(noted.to_ascii_lowercase())
            .map_err(|e| bad_input(format!("--record {noted}: {e}; expected the 64 hex digits of a BLAKE3")))?;
        findings.push(compared("--record", Ok(noted), found).asked());
    }
    if !arguments.coordinator.is_empty() {
        let coordinators = Coordinators::new(&arguments.coordinator, arguments.tls.as_deref())?;
        let finding = match at_coordinator(coordinators, record) {
            Ok(kept) => compared(THERE, kept.ok_or(record), found),
            Err(problem) => untold(THERE, &problem),
        };
        findings.push(finding.asked());
    }
    if findings.is_empty() {
        let why = format!(
            "BLAKE3 {}: nobody was asked what it should be; give --coordinator, or --record with the one you noted",
            found.to_hex()
        );
        findings.push(Finding::new(RECORD, State::NotChecked, why));
    }
    Ok(findings)
}

/// What is kept is a digest, or nothing of the audit that the record says it is of.
fn compared(by: &str, kept: Result<Digest, &Record>, found: Digest) -> Finding {
    let (state, why) = match kept {
        Ok(kept) if kept == found => (State::Ok, format!("BLAKE3 {}, as {by} has it", kept.to_hex())),
        Ok(kept) => {
            (State::Changed, format!("its BLAKE3 is {}, and by {by} it should be {}", found.to_hex(), kept.to_hex()))
        }
        Err(record) => {
            (State::Changed, format!("it says that it is of {}, and {by} has no record of that", record.audit))
        }
    };
    Finding::new(RECORD, state, why)
}

fn untold(by: &str, problem: &str) -> Finding {
    Finding::new(RECORD, State::NotChecked, format!("{by} does not tell: {problem}"))
}

/// By a copy of the store, since opening one locks it and may mend it.
fn here(store: &Path, record: &Record) -> Result<Option<Digest>, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let name = store.file_name().unwrap_or_default();
    std::fs::copy(store, folder.path().join(name)).map_err(|e| e.to_string())?;
    let store = Store::open(folder.path()).map_err(|e| e.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let stored = runtime.block_on(records::load(&store)).map_err(|e| e.to_string())?;
    let outputs = stored.iter().filter_map(|stored| match stored {
        Stored::Phase(audit, _, phase) if *audit == record.audit => Some(&phase.outputs),
        Stored::Phase(..) | Stored::Audit(..) | Stored::Segment(..) => None,
    });
    Ok(outputs.flatten().find(|output| output.name == RECORD).map(|output| output.blob.digest))
}

fn at_coordinator(mut coordinators: Coordinators, record: &Record) -> Result<Option<Digest>, String> {
    let audit = record.audit.to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let ask = async |mut client: Client| client.get_audit(GetAuditRequest { audit: audit.clone() }).await;
    let reply = runtime.block_on(coordinators.call(Patience::CALL, ask)).map_err(|e| e.to_string())?;
    let view = reply.audit.ok_or("it answered without the audit")?;
    let kept = view.phases.iter().flat_map(|phase| &phase.outputs).find(|output| output.name == RECORD);
    let Some(blob) = kept.and_then(|output| output.blob.as_ref()) else { return Ok(None) };
    let bytes: [u8; 32] = blob.digest.as_slice().try_into().map_err(|_| "its digest is none".to_owned())?;
    Ok(Some(Digest(bytes)))
}
