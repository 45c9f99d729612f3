//! `lethe bench score`: what scoring costs beside what a good user would write in Python, and the memory that it takes.
//!
//! It must never compare other weights, other shards or other results: similarities and scores are checked row by row.

mod density;
mod embed;
mod memory;
mod model;
mod pictures;
mod print;
mod worker;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::figures;
use crate::arguments::{Score, ScorePart};
use crate::exit::Ending;

/// What was measured, and what was not and why.
#[derive(Debug, Default)]
pub struct Results {
    pub web: Vec<embed::Round>,
    pub small: Vec<embed::Round>,
    pub pictures: Vec<pictures::Round>,
    pub reduced: Option<pictures::Effect>,
    pub dao: Option<density::Dao>,
    pub memory: Option<memory::Memory>,
    pub skipped: BTreeMap<&'static str, String>,
}

pub fn run(options: &Score) -> anyhow::Result<Ending> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let results = runtime.block_on(all(options))?;
    Ok(figures::show(options.output, || print::text(&results), || print::json(&results)))
}

async fn all(options: &Score) -> anyhow::Result<Results> {
    let folder = tempfile::Builder::new().prefix("lethe-bench-").tempdir().context("cannot make a folder")?;
    let mut results = Results::default();
    let wants = |part: ScorePart| options.only.is_none_or(|only| only == part);
    if wants(ScorePart::Pictures) || wants(ScorePart::Embedding) {
        let web = embed::web_shards(options, folder.path()).await.context("there are no shards to measure on")?;
        if wants(ScorePart::Pictures) {
            pictures(options, folder.path(), &web, &mut results).await.context("pictures were not measured")?;
        }
        if wants(ScorePart::Embedding) {
            embedding(options, folder.path(), web, &mut results).await.context("embedding was not measured")?;
        }
    }
    if wants(ScorePart::Dao) {
        let found = density::measure(&options.dao, options.embeddings, options.rounds).await;
        results.dao = Some(found.context("DAO was not measured")?);
    }
    if wants(ScorePart::Memory) {
        results.memory = Some(memory::measure(options.memory_samples).await.context("memory was not measured")?);
    }
    if options.no_python {
        results.skipped.insert("the ratios to open_clip and Pillow", "--no-python".to_owned());
    }
    if let Some(only) = options.only {
        results.skipped.insert("all else", format!("--only {only:?}").to_lowercase());
    }
    Ok(results)
}

async fn pictures(options: &Score, folder: &Path, shards: &[PathBuf], results: &mut Results) -> anyhow::Result<()> {
    for round in 0..options.rounds {
        eprintln!("pictures: round {} of {}", round + 1, options.rounds);
        results.pictures.push(pictures::round(options, shards).await?);
    }
    results.reduced = Some(pictures::effect(embed::VIT_B_32.write(folder)?, shards).await?);
    Ok(())
}

async fn embedding(options: &Score, folder: &Path, web: Vec<PathBuf>, results: &mut Results) -> anyhow::Result<()> {
    let small = embed::shards(options, &folder.join("small"), (options.small_samples, embed::SMALL_SIDE)).await?;
    let web = embed::Bench::prepare(options, folder, &embed::VIT_B_32, web)?;
    let small = embed::Bench::prepare(options, folder, &embed::SMALL, small)?;
    for round in 0..options.rounds {
        eprintln!("embedding: round {} of {}", round + 1, options.rounds);
        results.small.push(small.round(round).await?);
        results.web.push(web.round(round).await?);
    }
    Ok(())
}
