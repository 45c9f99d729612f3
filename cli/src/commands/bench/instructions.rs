//! Instructions of the coordinator a shard, by workers and shards: what a busy or noisy machine does not change.
//!
//! It must never count a start as a shard's cost: of each load there are two runs, and their difference is divided.

use std::path::Path;

use anyhow::{Context, bail};
use serde::Serialize;
use serde_json::{Value, json};

use super::coordinator::{Coordinator, Start, Under};
use super::figures::median;
use super::load::{Load, committed, finished, ready, swarm};
use super::prefill::Filling;
use super::storage::{Kind, Storage};
use crate::arguments::{ControlPlane, Format};
use crate::cluster::Token;
use crate::exit::Ending;
use crate::reach::Coordinators;
use crate::show::count;

const WORKERS: [u32; 3] = [10, 100, 1_000];
const SHARDS: [u32; 3] = [10_000, 100_000, 1_000_000];
/// A tenth and a half of the smallest audit, so that every load ends with shards that are still to be leased.
const COMMITS: [u32; 2] = [1_000, 5_000];
/// Which worker's request is taken in which step differs from run to run.
const REPETITIONS: u32 = 3;
/// What 1,000 workers hold with these fits beside the commits into the smallest audit.
const SLOTS: u32 = 4;
/// A run under callgrind is some fifty times slower; one that takes longer than this has failed.
const WINDOW_SECONDS: f64 = 900.0;

#[derive(Debug, Serialize)]
struct Cell {
    workers: u32,
    shards: u32,
    /// The middle of the repetitions.
    instructions_per_shard: f64,
    repetitions: Vec<f64>,
}

pub fn run(options: &ControlPlane) -> anyhow::Result<Ending> {
    let options = ControlPlane { slots: SLOTS, ..options.clone() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let cells = runtime.block_on(all(&options))?;
    match options.output {
        Format::Text => print!("{}", text(&cells)),
        Format::Json => println!("{:#}", json(&cells)),
    }
    Ok(Ending::Accepted)
}

async fn all(options: &ControlPlane) -> anyhow::Result<Vec<Cell>> {
    let mut cells = Vec::new();
    for workers in WORKERS {
        for shards in SHARDS {
            eprintln!("under callgrind: {workers} workers, {} shards", count(shards.into()));
            let mut repetitions = Vec::new();
            for _ in 0..options.repetitions.unwrap_or(REPETITIONS).max(1) {
                repetitions.push(difference(workers, shards, options).await?);
            }
            let instructions_per_shard = median(repetitions.iter().copied()).expect("there is one repetition");
            eprintln!("  {} instructions a shard", count(instructions_per_shard as u64));
            cells.push(Cell { workers, shards, instructions_per_shard, repetitions });
        }
    }
    Ok(cells)
}

/// Instructions a shard of one pair of runs.
async fn difference(workers: u32, shards: u32, options: &ControlPlane) -> anyhow::Result<f64> {
    let few = counted(workers, shards, COMMITS[0], options).await?;
    let many = counted(workers, shards, COMMITS[1], options).await?;
    if many.0 <= few.0 || many.1 <= few.1 {
        bail!(
            "the longer run did not do more: {} and {} commits, {} and {} instructions",
            few.0,
            many.0,
            few.1,
            many.1
        );
    }
    Ok((many.1 - few.1) as f64 / (many.0 - few.0) as f64)
}

/// Shards committed, and instructions of the coordinator from its start to its end.
async fn counted(workers: u32, shards: u32, commits: u32, options: &ControlPlane) -> anyhow::Result<(u64, u64)> {
    let storage = Storage::start(Kind::Embedded, Filling { audits: 1, shards, committed: 0 }).await?;
    let counts = storage.work().join("callgrind.out");
    let token = Token::draw()?;
    let start = Start { storage: &storage, name: "coordinator", token: &token, tls: None };
    let coordinator = Coordinator::begin_under(&Under::Callgrind(counts.clone()), start).await?;
    ready(&[coordinator.url()], &token).await?;
    let (kind, seconds) = (Kind::Embedded, WINDOW_SECONDS);
    let load = Load { kind, workers, audits: 1, shards, rate: None, seconds, until_commits: commits };
    let swarm = swarm(&load, options, &token, (&[coordinator.url()], None))?;
    let found = finished(swarm).await?;
    if found.commits == 0 {
        bail!("no shard was committed in {WINDOW_SECONDS} s: {}", found.first_error.unwrap_or_default());
    }
    let stored = committed(Coordinators::with_token(&[coordinator.url()], token.as_str())?).await?;
    coordinator.stop().await;
    Ok((stored, total(&counts)?))
}

/// Ir of all threads.
fn total(counts: &Path) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(counts).context("callgrind left no counts: it was killed")?;
    summary(&text).context("callgrind's counts have no summary")
}

fn summary(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("summary:"))?.trim().parse().ok()
}

/// The most, divided by the least.
fn spread<'a>(cells: impl Iterator<Item = &'a Cell>) -> f64 {
    let (least, most) = cells.fold((f64::INFINITY, 0.0_f64), |(least, most), cell| {
        (least.min(cell.instructions_per_shard), most.max(cell.instructions_per_shard))
    });
    most / least
}

fn json(cells: &[Cell]) -> Value {
    let by_shards: Vec<f64> = WORKERS.map(|workers| spread(cells.iter().filter(|cell| cell.workers == workers))).into();
    json!({
        "cells": cells,
        "most_to_least_by_shards": by_shards,
        "most_to_least": spread(cells.iter()),
        "definition": "instructions that the coordinator's threads executed in user mode, of a run that commits more less one \
                       that commits fewer, divided by the shards between them",
    })
}

fn text(cells: &[Cell]) -> String {
    let head =
        format!("instructions a shard  {}\n", SHARDS.map(|shards| format!("{:>12}", count(shards.into()))).concat());
    let row = |workers: u32| {
        let of = cells.iter().filter(|cell| cell.workers == workers);
        let row: String = of.clone().map(|cell| format!("{:>12}", count(cell.instructions_per_shard as u64))).collect();
        format!("{workers:>12} workers  {row}   most to least {:.2}\n", spread(of))
    };
    format!("{head}{}", WORKERS.map(row).concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_read() {
        assert_eq!(summary("version: 1\nevents: Ir\nsummary: 123456\n\nob=(1) x\n"), Some(123_456));
        assert_eq!(summary("version: 1\n"), None);
    }

    #[test]
    fn the_spread_is_between_the_extremes() {
        let cell =
            |instructions_per_shard| Cell { workers: 10, shards: 10, instructions_per_shard, repetitions: Vec::new() };
        assert!((spread([cell(2.0), cell(3.0), cell(2.5)].iter()) - 1.5).abs() < 1e-12);
    }
}
