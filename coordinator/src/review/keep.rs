//! Marks from the blob store, and back: written whole beside those that are there, and then kept in their place.
//!
//! It must never let one person's marks go with another's: where somebody else's came in between, it begins again.

use std::sync::Arc;

use lethe_common::blob::{BlobError, BlobRef, BlobStore, attempt_path};
use lethe_common::ids::{Attempt, AuditId, PhaseIndex, ShardId, TaskId, Term};
use lethe_common::time::Millis;
use lethe_engine::{AuditView, MARKS};

use super::marks::{Change, Judgement, Marks};
use super::suspects::{Suspects, SuspectsError};
use crate::api::Lead;
use crate::driver::{AskError, Status};

/// Two people who mark at once get in each other's way now and then, and not so often.
const TRIES: u32 = 8;
/// Samples that an error names.
const MOST_NAMED: usize = 3;

#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    #[error(transparent)]
    Suspects(#[from] Arc<SuspectsError>),
    #[error("there is no audit {0}; `lethe list --all` shows those that are kept")]
    Unknown(String),
    #[error("{audit} has no such suspect: {named}; its suspects are in its suspects.parquet")]
    NoSuspect { audit: String, named: String },
    #[error("the marks cannot be read or written: {0}")]
    Blob(#[from] BlobError),
    #[error("the marks of {audit} are not what this build writes: {source}; they may come from another version")]
    Damaged { audit: String, source: serde_json::Error },
    #[error("others marked the same audit at once, {TRIES} times over; try again")]
    Contended,
    #[error(transparent)]
    Ask(#[from] AskError),
}

/// What a person says of some suspects: by shard and key, and by content where that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saying {
    pub shard: u32,
    pub key: String,
    /// Empty where the suspect of this name is meant, whatever it holds.
    pub content: String,
    pub judgement: Option<Judgement>,
}

/// The marks of an audit; none where nobody has made any.
///
/// # Errors
/// Their blob cannot be read, the audit is gone meanwhile, or others replace them faster than they are read.
pub async fn marks_of(view: &AuditView, lead: &Lead) -> Result<Marks, MarkError> {
    latest(view, lead).await.map(|(marks, _)| marks)
}

/// The marks, and where they lie: other than this view says where somebody has replaced them since, whereupon those are gone.
async fn latest(view: &AuditView, lead: &Lead) -> Result<(Marks, Option<BlobRef>), MarkError> {
    let mut at = view.marks.clone();
    for _ in 0..TRIES {
        match read((&view.audit, at.as_ref()), &lead.blobs).await {
            Err(MarkError::Blob(error)) if error.is_absent() => {
                let watched = lead.driver.watch(view.audit.clone()).await?;
                let watched = watched.ok_or_else(|| MarkError::Unknown(view.audit.to_string()))?;
                let now = watched.borrow().view.marks.clone();
                if now == at {
                    return Err(error.into()); // nobody has replaced them
                }
                at = now;
            }
            read => return Ok((read?, at)),
        }
    }
    Err(MarkError::Contended)
}

async fn read((audit, at): (&AuditId, Option<&BlobRef>), blobs: &BlobStore) -> Result<Marks, MarkError> {
    let Some(blob) = at else { return Ok(Marks::default()) };
    let damaged = |source| MarkError::Damaged { audit: audit.to_string(), source };
    let bytes = blobs.get(blob).await?;
    apart(move || serde_json::from_slice(&bytes)).await.map_err(damaged)
}

/// Keeps what a person says, all of it or nothing. Gives the marks there are now, and the audit.
///
/// # Errors
/// One that is no suspect, or a store that does not take it.
pub async fn mark(
    (lead, view): (&Lead, &AuditView),
    suspects: &Suspects,
    sayings: Vec<Saying>,
    by: &str,
) -> Result<(Marks, Status), MarkError> {
    let changes: Arc<[Change]> = changes(view, suspects, sayings)?.into();
    let mut view = view.clone();
    for _ in 0..TRIES {
        let (mut marks, replaces) = latest(&view, lead).await?;
        let (said, who) = (Arc::clone(&changes), by.to_owned());
        let (marks, made, bytes) = apart(move || {
            let made = marks.apply(&said, (&who, Millis::now()));
            let bytes = serde_json::to_vec(&marks).expect("marks are plain data");
            (marks, made, bytes)
        })
        .await;
        let blob = write(bytes, &view, lead).await?;
        let asked = lead.driver.keep_marks(view.audit.clone(), by.to_owned(), (blob.clone(), replaces.clone()), made);
        let status = asked.await?.ok_or_else(|| MarkError::Unknown(view.audit.to_string()))?;
        if status.view.marks.as_ref() == Some(&blob) {
            forget(replaces, lead).await;
            return Ok((marks, status));
        }
        view = status.view;
    }
    Err(MarkError::Contended)
}

/// With the content of each, which is what a person has looked at.
fn changes(view: &AuditView, suspects: &Suspects, sayings: Vec<Saying>) -> Result<Vec<Change>, MarkError> {
    let (mut changes, mut unknown) = (Vec::with_capacity(sayings.len()), Vec::new());
    for Saying { shard, key, content, judgement } in sayings {
        let row = suspects.find(shard, &key).filter(|row| content.is_empty() || row.content == content);
        match row {
            Some(row) => changes.push(Change { shard, key, content: row.content.clone(), judgement }),
            None => unknown.push(format!("{key:?} of shard {shard}")),
        }
    }
    if unknown.is_empty() {
        return Ok(changes);
    }
    let more = unknown.len().saturating_sub(MOST_NAMED);
    unknown.truncate(MOST_NAMED);
    let and_more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Err(MarkError::NoSuspect { audit: view.audit.to_string(), named: unknown.join(", ") + &and_more })
}

/// Of a hundred thousand marks it takes a while, in which others are to be served.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(ended) => std::panic::resume_unwind(ended.into_panic()),
    }
}

/// Under a path that no task writes, and no other marks of this audit have: its content is in its name.
async fn write(bytes: Vec<u8>, view: &AuditView, lead: &Lead) -> Result<BlobRef, MarkError> {
    let attempt = Attempt { term: Term(lead.term), counter: 0 };
    let task = TaskId { audit: view.audit.clone(), phase: PhaseIndex(0), shard: ShardId(0), attempt };
    let name = format!("{MARKS}{}.json", blake3::hash(&bytes).to_hex());
    Ok(lead.blobs.put(&attempt_path(&task, &name), bytes.into()).await?)
}

/// What was replaced goes at once, since somebody who marks thousands replaces thousands; but not what a re-run began with. What
/// is left behind where this fails is swept.
async fn forget(replaced: Option<BlobRef>, lead: &Lead) {
    let Some(BlobRef { path, .. }) = replaced else { return };
    let counts = lead.driver.points_at(vec![path.clone()]).await;
    if counts.is_ok_and(|counts| counts == [false])
        && let Err(error) = lead.blobs.delete(vec![path]).await
    {
        tracing::debug!(%error, "marks that were replaced are left to the sweep");
    }
}
