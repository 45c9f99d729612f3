//! `lethe fetch`: an audit's result from the coordinator's blob store to a folder here.
//!
//! A file must never appear under its name before it is whole and its digest is right.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use lethe_common::blob::{BlobRef, Digest};
use lethe_proto::v1::fetch_result_reply::Part;
use lethe_proto::v1::{AuditView, FetchResultReply, FetchResultRequest, ResultFiles};
use serde_json::json;
use tokio::time::timeout;
use tonic::Streaming;

use super::{block_on, print, refusal, views};
use crate::arguments::Fetch;
use crate::exit::{Ending, bad_input};
use crate::reach::{Client, Coordinators, Patience, near};
use crate::show;

/// A coordinator that sends nothing for so long is given up: it reads 8 MiB at a time from its store.
const SILENCE: Duration = Duration::from_secs(60);

/// What there is, and what became of it.
struct Fetched {
    folder: PathBuf,
    brought: Vec<BlobFile>,
    /// Lay there whole.
    kept: Vec<String>,
    withheld: Vec<String>,
    /// What came to it all, as the coordinator knows it.
    view: AuditView,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct BlobFile {
    name: String,
    blob: BlobRef,
}

pub fn fetch(arguments: &Fetch) -> anyhow::Result<Ending> {
    let folder = arguments.out.clone().unwrap_or_else(|| PathBuf::from(&arguments.audit));
    let fetched = block_on(&arguments.remote, async |mut coordinators| {
        let (list, _) = open(&mut coordinators, &arguments.audit, "").await?;
        let files = wanted(&list, &arguments.files)?;
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let view = views::audit(&mut coordinators, &arguments.audit).await?;
        let mut fetched = Fetched { folder, brought: Vec::new(), kept: Vec::new(), withheld: list.withheld, view };
        for file in files {
            if is_there(&fetched.folder.join(&file.name), &file.blob) {
                fetched.kept.push(file.name);
                continue;
            }
            let (_, pieces) = open(&mut coordinators, &arguments.audit, &file.name).await?;
            bring(pieces, &file, &fetched.folder).await?;
            fetched.brought.push(file);
        }
        Ok(fetched)
    })?;
    print(arguments.remote.output, || text(&fetched), || as_json(&fetched));
    Ok(Ending::Accepted)
}

/// The list, and the stream that goes on with the named file's bytes.
async fn open(
    coordinators: &mut Coordinators,
    audit: &str,
    name: &str,
) -> anyhow::Result<(ResultFiles, Streaming<FetchResultReply>)> {
    let request = FetchResultRequest { audit: audit.to_owned(), name: name.to_owned() };
    let ask = async |mut client: Client| client.fetch_result(request.clone()).await;
    let mut parts = match coordinators.call(Patience::CALL, ask).await {
        Ok(parts) => parts,
        Err(error) => return Err(refusal::of_audit(coordinators, audit, error).await),
    };
    let first = timeout(SILENCE, parts.message()).await.context("the coordinator sent no list of files")?;
    match first?.and_then(|reply| reply.part) {
        Some(Part::Files(list)) => Ok((list, parts)),
        Some(Part::Chunk(_)) | None => {
            bail!("the coordinator did not begin with the list of files; is it of another release?")
        }
    }
}

/// Of the files that are not withheld those that were asked for, or all.
fn wanted(list: &ResultFiles, asked: &[String]) -> anyhow::Result<Vec<BlobFile>> {
    let mut files = Vec::new();
    for named in &list.files {
        let blob = named.blob.clone().context("the coordinator named a file without a blob")?;
        ensure!(is_plain(&named.name), "the coordinator names a file {:?}, which is no plain name", named.name);
        let digest: [u8; 32] =
            blob.digest.as_slice().try_into().context("a digest has another length than BLAKE3's")?;
        let blob = BlobRef { path: blob.path, size_bytes: blob.size_bytes, digest: Digest(digest) };
        files.push(BlobFile { name: named.name.clone(), blob });
    }
    if asked.is_empty() {
        files.retain(|file| !list.withheld.contains(&file.name));
        return Ok(files);
    }
    let find = |name: &String| {
        files.iter().find(|file| file.name == *name).cloned().ok_or_else(|| {
            let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
            let near = near(name, names.iter().copied());
            let hint = if near.is_empty() { names.join(", ") } else { format!("did you mean {}?", near.join(" or ")) };
            bad_input(format!("the result has no {name:?}: {hint}"))
        })
    };
    asked.iter().map(find).collect()
}

/// It becomes a file's name here, whoever says it.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b))
}

/// Whether the file lies there whole.
fn is_there(path: &Path, blob: &BlobRef) -> bool {
    let same_size = std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == blob.size_bytes);
    same_size && digest(path).is_ok_and(|found| found == blob.digest)
}

fn digest(path: &Path) -> std::io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(std::fs::File::open(path)?)?;
    Ok(Digest(*hasher.finalize().as_bytes()))
}

/// Writes a file's bytes beside its name, and gives it the name once they are right.
async fn bring(mut pieces: Streaming<FetchResultReply>, file: &BlobFile, folder: &Path) -> anyhow::Result<()> {
    use std::io::Write as _;
    let failed = || format!("cannot write {}", folder.join(&file.name).display());
    // As any file that this user makes, and not as a secret: others may have to read it.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    let mut part = tempfile::Builder::new().permissions(mode).tempfile_in(folder).with_context(failed)?;
    let mut hasher = blake3::Hasher::new();
    loop {
        let broke_off = || format!("{} broke off; the same command begins it again", file.name);
        let next = timeout(SILENCE, pieces.message()).await.with_context(broke_off)?.with_context(broke_off)?;
        match next.map(|reply| reply.part) {
            Some(Some(Part::Chunk(piece))) => {
                hasher.update(&piece);
                part.write_all(&piece).with_context(failed)?;
            }
            Some(Some(Part::Files(_)) | None) => bail!("the coordinator sent a list within {}", file.name),
            None => break,
        }
    }
    ensure!(
        Digest(*hasher.finalize().as_bytes()) == file.blob.digest,
        "{} came damaged; the same command begins it again",
        file.name
    );
    part.as_file().sync_all().with_context(failed)?;
    part.persist(folder.join(&file.name)).with_context(failed)?;
    Ok(())
}

fn text(fetched: &Fetched) -> String {
    let mut text = show::came_to(&fetched.view).map_or_else(String::new, |came_to| format!("{came_to}\n"));
    for BlobFile { name, blob } in &fetched.brought {
        text.push_str(&format!(
            "{}  {}\n",
            fetched.folder.join(name).display(),
            show::size(blob.size_bytes).unwrap_or_default()
        ));
    }
    if !fetched.kept.is_empty() {
        text.push_str(&format!("there already: {}\n", fetched.kept.join(", ")));
    }
    if !fetched.withheld.is_empty() {
        text.push_str(&format!(
            "withheld until it is approved: {}; lethe approve {}\n",
            fetched.withheld.join(", "),
            fetched.view.audit
        ));
    }
    text
}

fn as_json(fetched: &Fetched) -> serde_json::Value {
    let names: Vec<&str> = fetched.brought.iter().map(|file| file.name.as_str()).collect();
    json!({
        "folder": fetched.folder,
        "fetched": names,
        "kept": fetched.kept,
        "withheld": fetched.withheld,
        "verdict": show::json::verdict(&fetched.view),
    })
}
