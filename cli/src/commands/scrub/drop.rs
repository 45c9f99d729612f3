//! The drop list, as keys and content hashes by shard.
//!
//! It must never pass over an entry: one that names no shard of the audit is an error.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use lethe_data::Listed;
use lethe_evidence::artifacts::{self, DropList, Shards, names};
use lethe_evidence::{Suspect, SuspectTable};

use crate::exit::bad_input;

const LIST: &str = "drop-list.txt";
const SUSPECTS: &str = "suspects.parquet";
/// Of what is wrong.
const SHOWN_ENTRIES: usize = 5;

/// What must leave each shard, by the shard's id.
pub type ByShard = BTreeMap<u32, Listed>;

/// Reads the given list, or the one that the audit handed back. Hashes are those of the suspects; an entry that is no
/// suspect's is looked for by its key alone.
///
/// # Errors
/// Bad input: a file that is not there or not a drop list; an entry that names no shard.
pub fn read(result: &Path, given: Option<&Path>, shards: &Shards) -> anyhow::Result<ByShard> {
    let path = given.map_or_else(|| result.join(LIST), Path::to_owned);
    let wrong = |problem: String| bad_input(format!("drop list {}: {problem}", path.display()));
    let bytes = std::fs::read(&path).map_err(|e| wrong(e.to_string()))?;
    let names = Names::of(shards);
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("parquet") => {
            let table = SuspectTable::from_parquet(bytes.into()).map_err(|e| wrong(e.to_string()))?;
            by_shard(table.rows.into_iter().filter(|row| row.drop).map(named), &names).map_err(wrong)
        }
        Some("json") => {
            let list: DropList = artifacts::decode(names::DROP, &bytes).map_err(|e| wrong(e.to_string()))?;
            let entries = list.drop.into_iter().map(|entry| Entry::Full(entry.key, Some(entry.content)));
            by_shard(entries, &names).map_err(wrong)
        }
        Some(_) | None => {
            let text = String::from_utf8(bytes).map_err(|e| wrong(e.to_string()))?;
            by_shard(lines(&text, &suspects(result)?, &names), &names).map_err(wrong)
        }
    }
}

/// A sample to drop.
enum Entry {
    /// By its shard's name and its key, joined by a slash.
    Full(String, Option<String>),
    InShard {
        shard: u32,
        key: String,
        content: String,
    },
}

fn named(row: Suspect) -> Entry {
    Entry::InShard { shard: row.shard, key: row.key, content: row.content }
}

fn suspects(result: &Path) -> anyhow::Result<Vec<Suspect>> {
    let path = result.join(SUSPECTS);
    let wrong = |problem: String| {
        bad_input(format!("{}: {problem}; the content hashes of the drop list are in it", path.display()))
    };
    let bytes = std::fs::read(&path).map_err(|e| wrong(e.to_string()))?;
    Ok(SuspectTable::from_parquet(bytes.into()).map_err(|e| wrong(e.to_string()))?.rows)
}

/// A line is a suspect's where it is what the audit writes of it; breaks of lines in keys are written as question marks.
fn lines(text: &str, suspects: &[Suspect], names: &Names) -> Vec<Entry> {
    let mut written: HashMap<String, Vec<&Suspect>> = HashMap::new();
    for suspect in suspects {
        let name = names.name(suspect.shard).unwrap_or_default();
        let line = format!("{name}/{}", suspect.key).replace(['\n', '\r'], "?");
        written.entry(line).or_default().push(suspect);
    }
    let entries = text.lines().filter(|line| !line.is_empty()).map(|line| match written.get(line) {
        Some(suspects) => suspects.iter().map(|suspect| named((*suspect).clone())).collect(),
        None => vec![Entry::Full(line.to_owned(), None)],
    });
    entries.flatten().collect()
}

fn by_shard(entries: impl IntoIterator<Item = Entry>, names: &Names) -> Result<ByShard, String> {
    let (mut found, mut unknown) = (ByShard::new(), Vec::new());
    for entry in entries {
        match entry {
            Entry::InShard { shard, key, content } if names.name(shard).is_some() => {
                found.entry(shard).or_default().insert(key, Some(content));
            }
            Entry::InShard { shard, key, .. } => unknown.push(format!("{key} of shard {shard}")),
            Entry::Full(full, content) => match names.split(&full) {
                // A hash that is known stays.
                Some((shard, key)) => {
                    let known = found.entry(shard).or_default().entry(key.to_owned()).or_default();
                    *known = content.or_else(|| known.take());
                }
                None => unknown.push(full),
            },
        }
    }
    if unknown.is_empty() {
        return Ok(found);
    }
    let shown = unknown[..unknown.len().min(SHOWN_ENTRIES)].join(", ");
    let count = unknown.len();
    Err(format!("{count} of its entries name no shard of this audit, the first: {shown}; is it another audit's list?"))
}

/// The names of the audit's shards.
struct Names<'a> {
    ids: HashMap<&'a str, u32>,
    shards: &'a Shards,
}

impl<'a> Names<'a> {
    fn of(shards: &'a Shards) -> Self {
        Self { ids: shards.shards.iter().map(|shard| (shard.name(), shard.id)).collect(), shards }
    }

    fn name(&self, id: u32) -> Option<&'a str> {
        self.shards.shards.get(id as usize).map(|shard| shard.name())
    }

    /// The shard and the key of a full key; both may have slashes.
    fn split<'k>(&self, full: &'k str) -> Option<(u32, &'k str)> {
        full.match_indices('/').find_map(|(at, _)| Some((*self.ids.get(&full[..at])?, &full[at + 1..])))
    }
}

#[cfg(test)]
mod tests {
    use lethe_common::blob::Digest;
    use lethe_common::pin::Pin;
    use lethe_evidence::artifacts::ShardEntry;

    use super::*;

    fn shards() -> Shards {
        let entry = |(id, name): (u32, &str)| ShardEntry {
            id,
            name: name.to_owned(),
            path: format!("/d/{name}"),
            size_bytes: 1,
            pin: Pin::Digest(Digest::of(b"")),
        };
        let shards = (0..).zip(["0.tar", "a/1.tar"]).map(entry).collect();
        Shards { dataset: "march".to_owned(), shards, total_bytes: 2 }
    }

    fn suspect(shard: u32, key: &str) -> Suspect {
        Suspect {
            rank: 1,
            key: key.to_owned(),
            shard,
            url: String::new(),
            content: format!("hash of {key}"),
            caption: String::new(),
            suspicion: 1.0,
            in_forget_set: true,
            held_out: false,
            drop: true,
            values: Vec::new(),
        }
    }

    #[test]
    fn lines_find_their_shards_and_hashes() {
        let (shards, suspects) = (shards(), [suspect(1, "b/x"), suspect(0, "two\nlines"), suspect(0, "kept")]);
        let names = Names::of(&shards);
        let text = "a/1.tar/b/x\n0.tar/two?lines\n\n0.tar/by hand\na/1.tar/b/x\n";
        let found = by_shard(lines(text, &suspects, &names), &names).expect("are of this audit");
        let listed = |entries: &[(&str, Option<&str>)]| -> Listed {
            entries.iter().map(|(key, hash)| ((*key).to_owned(), hash.map(str::to_owned))).collect()
        };
        assert_eq!(found[&0], listed(&[("two\nlines", Some("hash of two\nlines")), ("by hand", None)]));
        assert_eq!(found[&1], listed(&[("b/x", Some("hash of b/x"))]));
    }

    #[test]
    fn entries_of_another_audit_are_refused() {
        let shards = shards();
        let names = Names::of(&shards);
        let text = "0.tar/a\nb/1.tar/x\nnonsense\n";
        let refused = by_shard(lines(text, &[], &names), &names).expect_err("are not ours");
        assert!(refused.contains("2 of its entries") && refused.contains("b/1.tar/x, nonsense"), "{refused}");
    }
}
