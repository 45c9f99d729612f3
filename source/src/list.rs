//! From patterns such as `s3://bucket/{00000..00019}.tar` and `data/*.parquet` to shards.
//!
//! It must never drop a shard silently: a pattern that names a missing file, or matches nothing, is an error.

use std::collections::BTreeSet;
use std::path::Path;

use futures::StreamExt;
use lethe_common::spec::StoreUrl;
use lethe_data::{ENDINGS, Format, MAX_SHARDS, braces};
use object_store::ObjectStore;
use object_store::path::Path as Key;
use tokio::time::timeout;

use crate::error::SourceError;
use crate::glob;
use crate::objects::CHUNK_DEADLINE;
use crate::place::{Object, Place};
use crate::runtime;
use crate::source::Source;
use crate::tries::Tries;

/// Objects that a listing passes over at most, while it looks for a glob.
const MAX_LISTED: usize = 1 << 22;

impl Source {
    /// Paths and URLs, in the order of the patterns, those of a glob in the order of their names.
    ///
    /// # Errors
    /// No pattern, a malformed one, a missing file, one that is named twice or of no known format. Whether objects are there
    /// is seen when they are pinned.
    pub fn expand(&self, patterns: &[String]) -> Result<Vec<String>, SourceError> {
        let (mut shards, mut seen) = (Vec::new(), BTreeSet::new());
        for pattern in patterns {
            let wrong = |problem: String| SourceError::Spec(format!("shard pattern {pattern:?}: {problem}"));
            for one in braces(pattern).map_err(wrong)? {
                for path in self.matching(&one, &wrong)? {
                    if Format::of(&path).is_none() {
                        return Err(wrong(format!("{path} ends in none of {ENDINGS}")));
                    }
                    if !seen.insert(path.clone()) {
                        return Err(wrong(format!("{path} is named twice; each shard counts once")));
                    }
                    shards.push(path);
                }
            }
            if shards.len() > MAX_SHARDS {
                return Err(wrong(format!("more than {MAX_SHARDS} shards; use larger shards")));
            }
        }
        if shards.is_empty() {
            return Err(SourceError::Spec(
                "no shards: expected at least one path or pattern such as data/{00000..00019}.tar".to_owned(),
            ));
        }
        Ok(shards)
    }

    fn matching(&self, pattern: &str, wrong: &impl Fn(String) -> SourceError) -> Result<Vec<String>, SourceError> {
        let is_glob = glob::is_glob(pattern);
        let found = match self.place_of(pattern)? {
            Place::Object(object) if !is_glob => vec![object.name],
            Place::Object(object) => {
                let pattern = pattern.to_owned();
                runtime::wait(async move { listed(&object, &pattern).await })?
            }
            Place::File(path) if is_glob => files(&path).map_err(|e| wrong(e.to_string()))?,
            Place::File(path) if path.is_file() => vec![pattern.to_owned()],
            Place::File(path) => {
                return Err(wrong(format!(
                    "names {}, which is not a file; check the path and the range",
                    path.display()
                )));
            }
        };
        if found.is_empty() { Err(wrong(format!("nothing matches {pattern}"))) } else { Ok(found) }
    }

    /// Of a pattern: an object's key may hold a glob.
    fn place_of(&self, pattern: &str) -> Result<Place, SourceError> {
        if !glob::is_glob(pattern) || !pattern.contains("://") {
            return self.place(pattern);
        }
        let (store, path) =
            StoreUrl::split(pattern).map_err(|problem| SourceError::Spec(format!("{pattern}: {problem}")))?;
        Ok(Place::Object(Object {
            store: self.store(&store)?,
            key: Key::from(glob::folder(path)),
            name: pattern.to_owned(),
        }))
    }
}

/// The URLs in a store that match. A listing that breaks off goes on after the last name.
async fn listed(folder: &Object, pattern: &str) -> Result<Vec<String>, SourceError> {
    let base = format!("{}/", folder.store.url);
    let (mut found, mut last, mut seen, mut tries) = (Vec::new(), None, 0, Tries::new());
    loop {
        let prefix = Some(&folder.key).filter(|key| !key.as_ref().is_empty());
        let objects = &folder.store.objects;
        let mut entries = match &last {
            Some(last) => objects.list_with_offset(prefix, last),
            None => objects.list(prefix),
        };
        let error = loop {
            match timeout(CHUNK_DEADLINE, entries.next()).await {
                Ok(None) => {
                    found.sort_unstable();
                    return Ok(found);
                }
                Ok(Some(Ok(entry))) => {
                    seen += 1;
                    tries.progress();
                    let url = format!("{base}{}", entry.location);
                    if glob::matches(pattern, &url) {
                        found.push(url);
                    }
                    last = Some(entry.location);
                }
                Ok(Some(Err(error))) => break folder.told(error),
                Err(_) => break folder.broken(format!("no listing came for {} s", CHUNK_DEADLINE.as_secs())),
            }
            if seen > MAX_LISTED || found.len() > MAX_SHARDS {
                return Err(SourceError::Spec(format!(
                    "{pattern}: its folder has more than {MAX_LISTED} objects or matches more than {MAX_SHARDS}; name the files, with brace ranges"
                )));
            }
        };
        let pause = if error.passes() { tries.next() } else { None };
        tokio::time::sleep(pause.ok_or(error)?).await;
    }
}

/// The files here that match a pattern without braces, sorted.
///
/// # Errors
/// A folder that cannot be listed.
pub fn files(pattern: &Path) -> std::io::Result<Vec<String>> {
    let text = pattern.to_string_lossy();
    let folder = glob::folder(&text);
    let mut found = vec![folder.to_owned()];
    for part in text[folder.len()..].split('/').filter(|part| !part.is_empty()) {
        let mut deeper = Vec::new();
        for base in &found {
            deeper.extend(children(base, part)?);
        }
        found = deeper;
    }
    found.retain(|path| Path::new(path).is_file());
    found.sort_unstable();
    Ok(found)
}

/// What lies in a folder (with its slash, or empty for the current one) and matches one part of a pattern.
fn children(base: &str, part: &str) -> std::io::Result<Vec<String>> {
    let folder = base.strip_suffix('/').unwrap_or(base);
    let join = |name: &str| {
        if base.is_empty() || base.ends_with('/') { format!("{base}{name}") } else { format!("{base}/{name}") }
    };
    if !glob::is_glob(part) {
        return Ok(Path::new(&join(part)).exists().then(|| join(part)).into_iter().collect());
    }
    let folder = match folder {
        "" if base.is_empty() => ".",
        "" => "/",
        folder => folder,
    };
    if !Path::new(folder).is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        // A name that is not UTF-8 cannot be written into a spec either.
        if let Some(name) = name.to_str().filter(|name| glob::part_matches(part, name)) {
            found.push(join(name));
        }
    }
    Ok(found)
}
