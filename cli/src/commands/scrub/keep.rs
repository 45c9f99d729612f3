//! The list of samples to keep, shard by shard in the audit's order, whatever order they are read in.
//!
//! It must never show a list that is not whole, nor hold more than a bounded part of the shards that wait for their turn.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};

use anyhow::{Context, anyhow};
use lethe_data::{Account, DataError, Limits, Meeting, Shard, content_hash};
use lethe_evidence::artifacts::{KeepRow, KeepWriter};

use super::crew::{Crew, Done, Stop};
use super::job::Job;
use super::read::{Failure, Reader};
use super::summary::Summary;
use crate::exit::{Ending, bad_input};

/// Rows of a shard that waits; most shards have fewer, so that they are read whole meanwhile.
const ROWS_WAITING: usize = 1 << 16;
/// How often whoever waits for his turn looks whether he should stop.
const LOOK_MS: u64 = 200;

struct Listed {
    account: Account,
    missing: u64,
    bytes: u64,
    /// No sample of the shard can be read.
    unreadable: bool,
}

impl Done for Listed {
    fn account(&self) -> Account {
        self.account
    }
}

/// # Errors
/// Any shard that cannot be read whole, or lacks a listed sample: a list without it would drop all of it.
pub fn write(path: &Path, jobs: &[Job], (reader, crew): (&Reader, &Crew)) -> anyhow::Result<(Summary, Ending)> {
    let list = Turnstile::begin(path, crew.stop.clone())?;
    let mut summary = Summary::of(jobs, path);
    let ran = crew.run(
        ("keep-list", jobs.len()),
        |at| one(reader, (at, &jobs[at]), &list),
        |listed| {
            summary.listed(listed.account, (listed.missing, listed.bytes));
            summary.unreadable_shards += u64::from(listed.unreadable);
            Ok(())
        },
    );
    match ran {
        Ok(Ending::Accepted) => list.finish()?,
        Ok(Ending::Interrupted | Ending::Rejected) | Err(_) => list.forget(),
    }
    ran.map(|ending| (summary, ending))
}

fn one(reader: &Reader, (at, job): (usize, &Job), list: &Turnstile) -> anyhow::Result<Listed> {
    let told = |failure: Failure| anyhow!(failure.to_string());
    let opened = reader.open(job).map_err(told)?;
    let bytes = job.entry.size_bytes;
    let shard = match Shard::open(opened.origin, Limits::default()) {
        Ok(shard) => shard,
        Err(DataError::Layout { .. } | DataError::Unknown { .. }) if job.listed.is_empty() => {
            list.end(at)?;
            return Ok(Listed { account: Account::default(), missing: 0, bytes, unreadable: true });
        }
        Err(error) => return Err(error.into()),
    };
    let (ending, mut meeting) = (shard.ending(), Meeting::new(&job.listed));
    let mut rows = Vec::new();
    for outcome in shard {
        let is_listed = meeting.see(&outcome);
        if let (Ok(sample), false) = (outcome, is_listed) {
            let content = content_hash(&sample.image, &sample.caption);
            rows.push(KeepRow { key: sample.key, content });
        }
        if rows.len() == ROWS_WAITING {
            list.append((at, job.name()), &mut rows)?;
        }
    }
    ending.whole().with_context(|| format!("shard {}", job.path))?;
    let missing = reader.judge(job, &meeting).map_err(told)?;
    list.append((at, job.name()), &mut rows)?;
    list.end(at)?;
    Ok(Listed { account: meeting.account(), missing, bytes, unreadable: false })
}

/// Lets one shard after the other write.
struct Turnstile {
    path: PathBuf,
    partial: PathBuf,
    stop: Stop,
    turn: Mutex<Turn>,
    moved: Condvar,
}

struct Turn {
    shard: usize,
    sink: Option<Sink>,
}

enum Sink {
    Parquet(Box<KeepWriter<BufWriter<File>>>),
    Text(BufWriter<File>),
}

impl Turnstile {
    fn begin(path: &Path, stop: Stop) -> anyhow::Result<Self> {
        let name =
            path.file_name().ok_or_else(|| bad_input(format!("--keep-list {} names no file", path.display())))?;
        let partial = path.with_file_name(format!(".{}.partial", name.to_string_lossy()));
        let file = File::create(&partial).map_err(|e| bad_input(format!("--keep-list {}: {e}", partial.display())))?;
        let file = BufWriter::new(file);
        let sink = match path.extension().and_then(|ending| ending.to_str()) {
            Some("txt") => Sink::Text(file),
            Some(_) | None => Sink::Parquet(Box::new(KeepWriter::new(file)?)),
        };
        let turn = Mutex::new(Turn { shard: 0, sink: Some(sink) });
        Ok(Self { path: path.to_owned(), partial, stop, turn, moved: Condvar::new() })
    }

    /// Waits for the shard's turn, and takes its rows.
    fn append(&self, shard: (usize, &str), rows: &mut Vec<KeepRow>) -> anyhow::Result<()> {
        self.at_turn(shard.0, |turn| {
            let written = match turn.sink.as_mut().expect("is taken by the end alone") {
                Sink::Parquet(writer) => writer.append(shard.1, rows).map_err(anyhow::Error::from),
                Sink::Text(file) => text(file, shard.1, rows),
            };
            rows.clear();
            written.with_context(|| format!("keep list {}", self.partial.display()))
        })
    }

    fn end(&self, shard: usize) -> anyhow::Result<()> {
        self.at_turn(shard, |turn| {
            if let Some(Sink::Parquet(writer)) = &mut turn.sink {
                writer.end_shard().with_context(|| format!("keep list {}", self.partial.display()))?;
            }
            turn.shard += 1;
            self.moved.notify_all();
            Ok(())
        })
    }

    fn at_turn(&self, shard: usize, act: impl FnOnce(&mut Turn) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        while turn.shard != shard {
            self.stop.check()?;
            let look = std::time::Duration::from_millis(LOOK_MS);
            turn = self.moved.wait_timeout(turn, look).unwrap_or_else(PoisonError::into_inner).0;
        }
        act(&mut turn)
    }

    fn finish(self) -> anyhow::Result<()> {
        let told = || format!("keep list {}", self.path.display());
        let turn = self.turn.into_inner().unwrap_or_else(PoisonError::into_inner);
        let file = match turn.sink.expect("is taken here alone") {
            Sink::Parquet(writer) => writer.finish().with_context(told)?,
            Sink::Text(file) => file,
        };
        let file = file.into_inner().map_err(std::io::IntoInnerError::into_error).with_context(told)?;
        file.sync_all().with_context(told)?;
        std::fs::rename(&self.partial, &self.path).with_context(told)
    }

    fn forget(self) {
        std::fs::remove_file(&self.partial).ok(); // what went wrong first is what is told
    }
}

/// As drop-list.txt: a key cannot break its line.
fn text(file: &mut impl Write, shard: &str, rows: &[KeepRow]) -> anyhow::Result<()> {
    for row in rows {
        writeln!(file, "{}", format!("{shard}/{}", row.key).replace(['\n', '\r'], "?"))?;
    }
    Ok(())
}
