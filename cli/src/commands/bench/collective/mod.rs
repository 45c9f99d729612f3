//! `lethe bench collective`: what a gang costs beside its computation, and how soon it goes on when a rank is lost.
//!
//! It must never measure a loop of its own: the trainings are those that an audit runs, by the same binaries.

mod drill;
pub mod executors;
mod meter;
mod print;
mod recovery;
mod steps;
mod torchrun;

use anyhow::Context;
use serde_json::Value;

use super::figures;
use crate::arguments::Collective;
use crate::exit::Ending;

/// What was measured, and what was not and why.
#[derive(Debug, Default)]
pub struct Results {
    pub rounds: Vec<steps::Round>,
    pub recovery: Option<recovery::Recovery>,
    pub torchrun: Option<Value>,
    pub skipped: std::collections::BTreeMap<&'static str, String>,
}

pub fn run(options: &Collective) -> anyhow::Result<Ending> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let results = runtime.block_on(all(options))?;
    Ok(figures::show(options.output, || print::text(&results), || print::json(&results)))
}

async fn all(options: &Collective) -> anyhow::Result<Results> {
    let (rounds, missing) = steps::measure(options).await.context("the steps were not measured")?;
    let mut results = Results { rounds, ..Results::default() };
    match options.rounds {
        0 => drop(results.skipped.insert("steps", "--rounds 0".to_owned())),
        _ if missing.is_empty() => {}
        _ => drop(results.skipped.insert("steps, in part", missing.join("; "))),
    }
    if options.no_ddp {
        results.skipped.insert("ddp", "--no-ddp".to_owned());
    }
    if options.recoveries == 0 {
        results.skipped.insert("recovery", "--recoveries 0".to_owned());
        return Ok(results);
    }
    eprintln!("recovery: {} losses of 1 of {} ranks", options.recoveries, recovery::RANKS);
    results.recovery = Some(recovery::measure(options.recoveries).await.context("the recovery was not measured")?);
    if options.no_torchrun {
        results.skipped.insert("torchrun", "--no-torchrun".to_owned());
    } else {
        eprintln!("the same losses under torchrun");
        match torchrun::measure(&options.torchrun, options.torchrun_recoveries).await {
            Ok(found) => results.torchrun = Some(found),
            Err(error) => drop(results.skipped.insert("torchrun", format!("{error:#}"))),
        }
    }
    Ok(results)
}
