//! scrub.jsonl: of every shard that is done, what went in, what came out and what was left out.
//!
//! It must never say that a shard is done before its file would outlive a power cut. What cannot be read of it is done again.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use lethe_common::blob::Digest;
use lethe_common::pin::Pin;
use lethe_data::Account;
use serde::{Deserialize, Serialize};

use super::job::Job;
use crate::exit::bad_input;

pub const FILE: &str = "scrub.jsonl";
const LOCK: &str = ".scrub.lock";

/// A shard that is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub shard: String,
    /// As the audit pinned it.
    #[serde(flatten)]
    pub pin: Pin,
    pub input: Content,
    pub output: Content,
    /// Of what had to leave it.
    pub listed: Digest,
    #[serde(flatten)]
    pub account: Account,
    /// Of the listed samples.
    pub missing: u64,
    /// Why no sample of it can be read, where none can.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    pub bytes: u64,
    pub blake3: Digest,
}

impl Line {
    /// Whether the same would be done again.
    pub fn is_of(&self, job: &Job) -> bool {
        self.pin == job.entry.pin && self.input.bytes == job.entry.size_bytes && self.listed == job.listed_digest()
    }
}

/// The record of a folder, held alone.
pub struct Record {
    path: PathBuf,
    file: File,
    known: HashMap<String, Line>,
    /// Goes with the process, however that ends.
    _lock: File,
}

impl Record {
    /// # Errors
    /// Another process writes into the folder (bad input); the folder cannot be written.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let lock = File::create(folder.join(LOCK)).with_context(|| format!("cannot write to {}", folder.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(bad_input(format!("another lethe scrub writes into {}", folder.display())));
            }
            Err(TryLockError::Error(e)) => return Err(e).with_context(|| format!("cannot lock {}", folder.display())),
        }
        let path = folder.join(FILE);
        let told = || format!("record {}", path.display());
        let known = known(&path).with_context(told)?;
        let file = rewrite(&path, known.values()).with_context(told)?;
        Ok(Self { path, file, known, _lock: lock })
    }

    pub fn known(&self) -> &HashMap<String, Line> {
        &self.known
    }

    pub fn append(&mut self, line: &Line) -> anyhow::Result<()> {
        let appended = write_line(&mut self.file, line).and_then(|()| self.file.sync_data());
        appended.with_context(|| format!("record {}", self.path.display()))
    }

    /// Ends with these lines alone.
    pub fn finish<'a>(self, lines: impl Iterator<Item = &'a Line>) -> anyhow::Result<()> {
        rewrite(&self.path, lines).with_context(|| format!("record {}", self.path.display())).map(drop)
    }
}

/// The last line of a shard counts. A line that was cut off by a crash is none.
fn known(path: &Path) -> io::Result<HashMap<String, Line>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(e) => return Err(e),
    };
    let lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Line>(line).ok());
    Ok(lines.map(|line| (line.shard.clone(), line)).collect())
}

/// Puts a new file in the record's place, whole, and gives it back to be appended to.
fn rewrite<'a>(path: &Path, lines: impl Iterator<Item = &'a Line>) -> io::Result<File> {
    let new = path.with_extension("jsonl.new");
    let mut writer = BufWriter::new(File::create(&new)?);
    for line in lines {
        write_line(&mut writer, line)?;
    }
    let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    Ok(file)
}

fn write_line(writer: &mut impl Write, line: &Line) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    writer.write_all(&text)
}
