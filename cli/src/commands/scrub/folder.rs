//! All shards into a folder: those that are there and whole are passed over.
//!
//! It must never begin where it would write over a shard that it reads.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::anyhow;
use lethe_data::{Account, Format, Kind};

use super::crew::{Crew, Done};
use super::job::Job;
use super::read::{Failure, Reader};
use super::record::{Line, Record};
use super::summary::Summary;
use super::write::Writer;
use crate::exit::{Ending, bad_input};

enum Outcome {
    Written(usize, Line),
    There(usize, Line),
    Refused(String),
}

impl Done for Outcome {
    fn account(&self) -> Account {
        match self {
            Self::Written(_, line) => line.account,
            Self::There(..) | Self::Refused(_) => Account::default(),
        }
    }
}

/// # Errors
/// Bad input; a folder that cannot be written. What is wrong with single shards is in the summary.
pub fn write(folder: &Path, jobs: &[Job], (reader, crew): (&Reader, &Crew)) -> anyhow::Result<(Summary, Ending)> {
    check(folder, jobs)?;
    let mut record = Record::open(folder)?;
    let (writer, known) = (Writer { reader, folder }, record.known().clone());
    let mut summary = Summary::of(jobs, folder);
    let mut lines = BTreeMap::new();
    let work = |at: usize| one(&writer, (at, &jobs[at]), known.get(jobs[at].name()));
    let ending = crew.run(("scrub", jobs.len()), work, |outcome| {
        match outcome {
            Outcome::Written(at, line) => {
                record.append(&line)?;
                summary.add(&line);
                lines.insert(at, line);
            }
            Outcome::There(at, line) => {
                summary.already_there += 1;
                summary.add(&line);
                lines.insert(at, line);
            }
            Outcome::Refused(problem) => summary.refuse(problem),
        }
        Ok(())
    })?;
    if ending == Ending::Accepted {
        record.finish(lines.values())?;
    }
    Ok((summary, ending))
}

fn one(writer: &Writer<'_>, (at, job): (usize, &Job), known: Option<&Line>) -> anyhow::Result<Outcome> {
    let known = known.filter(|line| line.is_of(job) && (line.missing == 0 || writer.reader.allow_missing));
    if let Some(line) = known
        && writer.is_whole(job, line)?
    {
        return Ok(Outcome::There(at, line.clone()));
    }
    match writer.write(job) {
        Ok(line) => Ok(Outcome::Written(at, line)),
        Err(Failure::Shard(_)) if writer.reader.stop.is_set() => Err(anyhow!("stopped")),
        Err(Failure::Shard(problem)) => Ok(Outcome::Refused(problem)),
        Err(Failure::Output(problem)) => Err(anyhow!(problem)),
    }
}

fn check(folder: &Path, jobs: &[Job]) -> anyhow::Result<()> {
    for job in jobs {
        let target = folder.join(job.file()?);
        match Format::of(job.name()).map(|format| format.kind) {
            Some(Kind::Tar | Kind::Parquet) => {}
            Some(Kind::Csv | Kind::Tsv | Kind::JsonLines) | None => {
                return Err(bad_input(format!(
                    "shard {} is a manifest, which is not written again, since its pictures lie beside it; use --keep-list, \
                     or drop its rows by drop-list.txt",
                    job.name()
                )));
            }
        }
        let same = job.is_file()
            && target.canonicalize().is_ok_and(|to| Path::new(&job.path).canonicalize().is_ok_and(|from| from == to));
        if same {
            return Err(bad_input(format!("--out would write over the shard {}; give another folder", job.path)));
        }
    }
    Ok(())
}
