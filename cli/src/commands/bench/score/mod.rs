//! `lethe bench score`: what embedding and scoring cost beside what a good user would write in Python.
//!
//! It must never compare other weights, other shards or other results: similarities are checked pair by pair.

mod embed;
mod pictures;
mod print;
mod worker;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;

use crate::arguments::{Format, Score};
use crate::exit::Ending;

/// What was measured, and what was not and why.
#[derive(Debug, Default)]
pub struct Results {
    pub web: Vec<embed::Round>,
    pub small: Vec<embed::Round>,
    pub pictures: Vec<pictures::Round>,
    pub skipped: BTreeMap<&'static str, String>,
}

pub fn run(options: &Score) -> anyhow::Result<Ending> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let results = runtime.block_on(all(options))?;
    match options.output {
        Format::Text => print!("{}", print::text(&results)),
        Format::Json => println!("{:#}", print::json(&results)),
    }
    Ok(Ending::Accepted)
}

async fn all(options: &Score) -> anyhow::Result<Results> {
    let folder = tempfile::tempdir().context("cannot make a folder for shards and weights")?;
    let web = match &options.shards[..] {
        [] => embed::shards(options, &folder.path().join("web"), (options.samples, 0)).await?,
        own => own.to_vec(),
    };
    let small =
        embed::shards(options, &folder.path().join("small"), (options.small_samples, embed::SMALL_SIDE)).await?;
    let mut results = Results::default();
    let bench = |shape, shards: Vec<PathBuf>| embed::Bench::prepare(options, folder.path(), shape, shards);
    let (web, small) = (bench(&embed::VIT_B_32, web).await?, bench(&embed::SMALL, small).await?);
    for round in 0..options.rounds {
        eprintln!("round {} of {}", round + 1, options.rounds);
        results.pictures.push(pictures::round(options, &web.shards).await?);
        results.small.push(small.round(round).await?);
        results.web.push(web.round(round).await?);
    }
    if options.no_python {
        results.skipped.insert("every ratio", "--no-python".to_owned());
    }
    Ok(results)
}
