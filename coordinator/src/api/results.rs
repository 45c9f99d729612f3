//! An audit's result over the wire, before it is delivered and after.
//!
//! It must never hand out what waits for a person's approval, nor a blob that the audit does not name.

use std::pin::Pin;

use futures::{Stream, StreamExt, stream};
use lethe_common::blob::{BlobError, BlobStore, NamedBlob};
use lethe_common::record::{RECORD, SPEC};
use lethe_engine::{AuditView, PhaseView};
use lethe_evidence::artifacts::names;
use lethe_proto::v1;
use tonic::Status;

use super::caller::Caller;
use super::wire;

pub type Pieces = Pin<Box<dyn Stream<Item = Result<v1::FetchResultReply, Status>> + Send>>;

/// What a person reads to decide. All else is withheld until then: it is what an operator would put to use, or names the
/// samples to drop.
const TO_READ: [&str; 5] = ["report.html", names::REPORT, names::EXHIBITS, SPEC, RECORD];

/// The list of files, then the named one's bytes.
pub fn fetch(view: &AuditView, name: &str, caller: &Caller, blobs: &BlobStore) -> Result<Pieces, Status> {
    let files = files(view)?;
    let only_reads = caller.only_reads(&view.submitter);
    let withheld: Vec<String> = match view.unapproved || only_reads {
        true => files.iter().map(|file| file.name.clone()).filter(|name| !TO_READ.contains(&name.as_str())).collect(),
        false => Vec::new(),
    };
    let list = v1::ResultFiles { files: wire::named(files.clone()), withheld: withheld.clone() };
    let list = stream::once(async { Ok(reply(v1::fetch_result_reply::Part::Files(list))) });
    if name.is_empty() {
        return Ok(Box::pin(list));
    }
    let file = files.iter().find(|file| file.name == name).ok_or_else(|| {
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        Status::not_found(format!("{} has no {name:?}; its result is {}", view.audit, names.join(", ")))
    })?;
    if withheld.contains(&file.name) {
        let (audit, submitter) = (&view.audit, &view.submitter);
        if only_reads {
            let text = format!("{name} of {audit} is for {submitter} and admins; others get {}", TO_READ.join(", "));
            return Err(Status::permission_denied(text));
        }
        return Err(Status::failed_precondition(format!(
            "{name} is withheld until {audit} is approved: read its report, then `lethe approve {audit}`"
        )));
    }
    let pieces = blobs.pieces(file.blob.clone()).map(|piece| match piece {
        Ok(piece) => Ok(reply(v1::fetch_result_reply::Part::Chunk(piece.into()))),
        Err(error) => Err(unreadable(&error)),
    });
    Ok(Box::pin(list.chain(pieces)))
}

/// What the last phase delivers: all that the phase before it gave, and once it has delivered what it adds to them.
fn files(view: &AuditView) -> Result<Vec<NamedBlob>, Status> {
    let last: &[PhaseView] = view.phases.get(view.phases.len().saturating_sub(2)..).unwrap_or_default();
    let files: Vec<NamedBlob> = last.iter().flat_map(|phase| &phase.outputs).cloned().collect();
    if last.len() < 2 || last[0].outputs.is_empty() {
        let audit = &view.audit;
        return Err(Status::failed_precondition(format!(
            "{audit} has no result yet; `lethe watch {audit}` follows it"
        )));
    }
    Ok(files)
}

fn reply(part: v1::fetch_result_reply::Part) -> v1::FetchResultReply {
    v1::FetchResultReply { part: Some(part) }
}

fn unreadable(error: &BlobError) -> Status {
    Status::data_loss(format!("the result cannot be read: {error}; what was delivered lies in the result folder"))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use lethe_common::ids::AuditId;
    use lethe_common::time::Millis;
    use lethe_engine::{AuditState, Counts, PhaseState, Tally};
    use lethe_tls::{Identity, Role};
    use tonic::Code;

    use super::*;

    fn phase(name: &str, outputs: Vec<NamedBlob>) -> PhaseView {
        PhaseView {
            name: name.to_owned(),
            kind: "reduce",
            state: PhaseState::Waiting,
            started: None,
            done: 0,
            total: 1,
            retries: 0,
            counts: Counts::default(),
            reason: String::new(),
            outputs,
            eta: None,
            quarantined: 0,
            tally: Tally::default(),
            notes: Vec::new(),
        }
    }

    fn view(outputs: Vec<NamedBlob>, unapproved: bool) -> AuditView {
        AuditView {
            audit: AuditId::new("march").expect("is an id"),
            state: AuditState::Running,
            paused: None,
            reason: String::new(),
            phases: vec![phase("report", outputs), phase("deliver", Vec::new())],
            workers: 0,
            submitter: String::new(),
            priority: 0,
            submitted: Millis(1),
            queue_position: None,
            rerun_of: None,
            quarantined: Vec::new(),
            unapproved,
            awaits_approval: unapproved,
            conclusion: None,
            deeds: Vec::new(),
            marks: None,
        }
    }

    async fn stored(blobs: &BlobStore, name: &str, bytes: &[u8]) -> NamedBlob {
        let blob = blobs.put(&format!("march/{name}"), Bytes::copy_from_slice(bytes)).await.expect("writes");
        NamedBlob { name: name.to_owned(), blob }
    }

    /// The list's names and what is withheld of them, and the bytes that follow.
    async fn fetched(
        view: &AuditView,
        name: &str,
        blobs: &BlobStore,
    ) -> Result<(Vec<String>, Vec<String>, Vec<u8>), Status> {
        let (mut names, mut withheld, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
        let mut parts = fetch(view, name, &Caller::Trusted, blobs)?;
        while let Some(part) = parts.next().await {
            match part?.part.expect("is one of two") {
                v1::fetch_result_reply::Part::Files(list) => {
                    names = list.files.into_iter().map(|file| file.name).collect();
                    withheld = list.withheld;
                }
                v1::fetch_result_reply::Part::Chunk(chunk) => bytes.extend(chunk),
            }
        }
        Ok((names, withheld, bytes))
    }

    #[tokio::test]
    async fn the_checkpoint_is_withheld_until_somebody_approved_it() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let blobs = BlobStore::local(folder.path()).expect("opens");
        let page = vec![b'p'; 9 << 20]; // more than one piece
        let mut outputs =
            vec![stored(&blobs, "report.html", &page).await, stored(&blobs, "clean.safetensors", b"weights").await];
        // Its column `drop` is a drop list.
        outputs.push(stored(&blobs, "suspects.parquet", b"rows").await);
        let waits = view(outputs.clone(), true);
        let (names, withheld, bytes) = fetched(&waits, "report.html", &blobs).await.expect("is for the person to read");
        assert_eq!((names.len(), bytes == page), (3, true));
        assert_eq!(withheld, ["clean.safetensors", "suspects.parquet"]);
        assert!(fetched(&waits, "", &blobs).await.expect("lists").2.is_empty());
        let refused = fetched(&waits, "clean.safetensors", &blobs).await.expect_err("is withheld");
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert!(refused.message().contains("lethe approve march"), "{refused}");
        let approved = view(outputs, false);
        let (_, withheld, bytes) = fetched(&approved, "clean.safetensors", &blobs).await.expect("is approved");
        assert_eq!((withheld, bytes.as_slice()), (Vec::new(), b"weights".as_slice()));
    }

    #[tokio::test]
    async fn others_than_the_submitter_get_what_a_person_reads() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let blobs = BlobStore::local(folder.path()).expect("opens");
        let outputs =
            vec![stored(&blobs, "report.html", b"page").await, stored(&blobs, "clean.safetensors", b"weights").await];
        let done = AuditView { submitter: "ann".to_owned(), ..view(outputs, false) };
        for (role, name, gets) in [
            (Role::Viewer, "eve", false),
            (Role::Submitter, "bob", false),
            (Role::Submitter, "ann", true),
            (Role::Admin, "root", true),
        ] {
            let caller = Caller::Known(Identity::new(role, name).expect("is a name"));
            assert!(fetch(&done, "report.html", &caller, &blobs).is_ok(), "{name}");
            let code = fetch(&done, "clean.safetensors", &caller, &blobs).err().map(|status| status.code());
            assert_eq!(code, (!gets).then_some(Code::PermissionDenied), "{name}");
        }
    }

    #[tokio::test]
    async fn what_is_not_there_or_damaged_is_told() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let blobs = BlobStore::local(folder.path()).expect("opens");
        let none = fetched(&view(Vec::new(), false), "", &blobs).await.expect_err("has no result");
        assert!(none.code() == Code::FailedPrecondition && none.message().contains("no result yet"), "{none}");
        let file = stored(&blobs, "report.json", b"whole").await;
        let made = view(vec![file.clone()], false);
        let other = fetched(&made, "../secret", &blobs).await.expect_err("is no file of the result");
        assert!(other.code() == Code::NotFound && other.message().contains("report.json"), "{other}");
        std::fs::write(folder.path().join(&file.blob.path), b"whale").expect("is ours");
        let damaged = fetched(&made, "report.json", &blobs).await.expect_err("is damaged");
        assert_eq!(damaged.code(), Code::DataLoss, "{damaged}");
    }
}
