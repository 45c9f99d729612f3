//! `lethe scrub`: an audit's shards again without the samples on its drop list, or the list of those to keep.
//!
//! It must never write over a shard that it reads, nor hand back a shard of which it does not know that every listed sample
//! was in it.

mod crew;
mod drop;
mod folder;
mod job;
mod keep;
mod listing;
pub mod places;
mod read;
mod record;
mod summary;
mod write;

use std::path::Path;
use std::time::Instant;

use lethe_common::spec::{self, Spec};
use lethe_evidence::artifacts::Verdict;
use lethe_source::Source;

use crate::arguments::{Format, Scrub};
use crate::commands::audit::read_report;
use crate::exit::{Ending, bad_input};

use job::Job;
use read::Reader;
use summary::Summary;

pub fn run(arguments: &Scrub) -> anyhow::Result<Ending> {
    let (summary, ending) = scrub(arguments)?;
    conclude(&summary, ending, arguments.output)
}

/// The shards of the audit in `result`, whatever its verdict, again in `out`, and nothing is printed.
///
/// # Errors
/// As the command's.
pub fn quietly(result: &Path, out: &Path) -> anyhow::Result<Ending> {
    let (summary, ending) = scrub(&Scrub { rejected: true, ..Scrub::plain(result, out) })?;
    match summary.problems() {
        Some(problems) if ending != Ending::Interrupted => Err(anyhow::anyhow!(problems)),
        Some(_) | None => Ok(ending),
    }
}

fn scrub(arguments: &Scrub) -> anyhow::Result<(Summary, Ending)> {
    let begun = Instant::now();
    if arguments.drop.is_none() && !arguments.rejected {
        refuse_rejected(&arguments.result)?;
    }
    let spec: Option<Spec> = arguments.spec.as_deref().map(spec::load).transpose()?;
    let source = match &spec {
        Some(spec) => Source::of(&spec.data).map_err(|e| bad_input(e.to_string()))?,
        None => Source::files(),
    };
    let jobs = jobs(arguments, &source, spec.is_some())?;
    let crew = crew::Crew { threads: arguments.jobs, stop: crew::Stop::default() };
    let reader = Reader { source, stop: crew.stop.clone(), allow_missing: arguments.allow_missing };
    let (mut summary, ending) = match (&arguments.out, &arguments.keep_list) {
        (Some(out), _) => folder::write(out, &jobs, (&reader, &crew))?,
        (None, Some(file)) => keep::write(file, &jobs, (&reader, &crew))?,
        (None, None) => return Err(bad_input("expected --out or --keep-list")),
    };
    summary.seconds = begun.elapsed().as_secs_f64();
    Ok((summary, ending))
}

/// A list that the audit does not stand by may name honest samples. Where the result has no report, nothing is known of that.
fn refuse_rejected(result: &Path) -> anyhow::Result<()> {
    if !result.join("report.json").exists() {
        return Ok(());
    }
    let report = read_report(result)?;
    if report.verdict != Verdict::Rejected {
        return Ok(());
    }
    Err(bad_input(format!(
        "{} rejected its own result ({}): look at its report.html first; --rejected scrubs by its drop list all the same",
        report.audit, report.headline
    )))
}

/// A job for each shard of the audit, in their order.
fn jobs(arguments: &Scrub, source: &Source, has_spec: bool) -> anyhow::Result<Vec<Job>> {
    let shards = listing::read(&arguments.result, arguments.listing.as_deref())?;
    let mut listed = drop::read(&arguments.result, arguments.drop.as_deref(), &shards)?;
    if listed.is_empty() {
        eprintln!("the drop list is empty: every sample is kept");
    }
    let is_url = |path: &&String| path.contains("://");
    let read = if arguments.shards.is_empty() {
        shards.shards.iter().map(|shard| &shard.path).find(is_url)
    } else {
        arguments.shards.iter().find(is_url)
    };
    if let Some(url) = read.filter(|_| !has_spec) {
        return Err(bad_input(format!(
            "{url} lies in a store; give the audit's spec with --spec, whose [data.stores] says how it is read"
        )));
    }
    let paths = places::of(&shards, &arguments.shards, source)?;
    let job = |(entry, path): (lethe_evidence::artifacts::ShardEntry, String)| {
        let listed = listed.remove(&entry.id).unwrap_or_default();
        Job { entry, path, listed }
    };
    Ok(shards.shards.into_iter().zip(paths).map(job).collect())
}

fn conclude(summary: &Summary, ending: Ending, output: Format) -> anyhow::Result<Ending> {
    if ending == Ending::Interrupted {
        eprintln!("stopped; the same command goes on where this one stopped");
        return Ok(ending);
    }
    match output {
        Format::Text => print!("{}", summary.text()),
        Format::Json => println!("{}", serde_json::to_string_pretty(summary)?),
    }
    match summary.problems() {
        Some(problems) => Err(anyhow::anyhow!(problems)),
        None => Ok(ending),
    }
}
