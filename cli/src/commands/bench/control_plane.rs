//! `lethe bench control-plane`: which loads are measured, in which order.
//!
//! It must never leave out a part without saying so: what could not be measured is listed with its reason.

use std::collections::BTreeMap;

use serde_json::Value;

use super::figures::{self, median};
use super::load::{Load, Row, measure};
use super::storage::Kind;
use super::{faults, instructions, overhead, print, ray};
use crate::arguments::ControlPlane;
use crate::exit::Ending;

/// The share of the sustained load at which latencies are measured.
const OPEN_SHARE: f64 = 0.7;

/// A load is sustained while 99 of 100 leases come within this.
const SUSTAINED_P99_MS: f64 = 50.0;
/// And while this share of what fell due was committed in the window.
const KEEPS_PACE: f64 = 0.99;
/// Each halves the logarithm of the range that is left: of 1 to 18, five leave 10 %.
const HALVINGS: u32 = 5;

/// 5,000 lease operations a second, each shard granted and committed: what is asked for at least.
const GOAL_SHARDS_PER_S: f64 = 2_500.0;

/// How much is measured.
struct Scope {
    workers: &'static [u32],
    shards: &'static [u32],
    seconds: f64,
    repetitions: u32,
    restart_shards: u32,
    ray_tasks: u32,
}

impl Scope {
    fn of(options: &ControlPlane) -> Self {
        let quick = Self {
            workers: &[10, 100],
            shards: &[10_000, 100_000],
            seconds: 4.0,
            repetitions: 1,
            restart_shards: 100_000,
            ray_tasks: 5_000,
        };
        let full = Self {
            workers: &[10, 100, 1_000],
            shards: &[10_000, 100_000, 1_000_000],
            seconds: 10.0,
            repetitions: 3,
            restart_shards: 1_000_000,
            ray_tasks: 20_000,
        };
        let scope = if options.quick { quick } else { full };
        let seconds = options.seconds.map_or(scope.seconds, |seconds| seconds as f64);
        Self { seconds, repetitions: options.repetitions.unwrap_or(scope.repetitions).max(1), ..scope }
    }

    /// The most workers on the most shards.
    fn main(&self, kind: Kind) -> Load {
        let most = |of: &[u32]| of.iter().copied().max().expect("a scope has some");
        let (workers, shards) = (most(self.workers), most(self.shards));
        let until_commits = Load::nearly(shards);
        Load { kind, workers, audits: 1, shards, rate: None, seconds: self.seconds, until_commits }
    }
}

/// What was measured so far.
#[derive(Default)]
pub struct Results {
    /// As fast as it goes: by workers, shards and audits.
    pub scaling: Vec<Row>,
    /// The main load again and again, Ray's between.
    pub main: Vec<Row>,
    pub etcd: Option<Row>,
    /// By the clock, at growing and shrinking rates.
    pub open: Vec<Row>,
    /// Shards a second, the most that kept the clock's pace within the latency.
    pub sustained: Option<f64>,
    /// By the clock at a share of that.
    pub at_share: Option<Row>,
    pub at_goal: Option<Row>,
    pub ray: Vec<Value>,
    pub takeover_s: Option<f64>,
    pub restart_ready_s: Option<f64>,
    pub restart_shards: u32,
    /// What was not measured, and why.
    pub skipped: BTreeMap<&'static str, String>,
}

impl Results {
    /// Every measurement by the clock, the goal's load first.
    pub fn by_the_clock(&self) -> impl Iterator<Item = &Row> {
        self.at_goal.iter().chain(&self.open).chain(&self.at_share)
    }
}

pub fn run(options: &ControlPlane) -> anyhow::Result<Ending> {
    if options.instructions {
        return instructions::run(options);
    }
    if options.tls {
        return overhead::run(options);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let results = runtime.block_on(all(options))?;
    Ok(figures::show(options.output, || print::text(&results), || print::json(&results)))
}

async fn all(options: &ControlPlane) -> anyhow::Result<Results> {
    let scope = Scope::of(options);
    let mut results = Results { restart_shards: scope.restart_shards, ..Results::default() };
    beside_ray(&scope, options, &mut results).await?;
    scaling(&scope, options, &mut results).await?;
    by_the_clock(&scope, options, &mut results).await?;
    eprintln!("restart with {} shards committed", scope.restart_shards);
    results.restart_ready_s = Some(faults::restart(scope.restart_shards).await?);
    if options.no_etcd {
        results.skipped.insert("etcd", "--no-etcd".to_owned());
    } else if let Err(error) = on_etcd(&scope, options, &mut results).await {
        results.skipped.insert("etcd", format!("{error:#}"));
    }
    Ok(results)
}

/// Ours and Ray's by turns, so that both see the same machine.
async fn beside_ray(scope: &Scope, options: &ControlPlane, results: &mut Results) -> anyhow::Result<()> {
    for _ in 0..scope.repetitions {
        results.main.push(told("main load, embedded", scope.main(Kind::Embedded), options).await?);
        if options.no_ray {
            results.skipped.insert("ray", "--no-ray".to_owned());
            continue;
        }
        eprintln!("the same load on Ray");
        match ray::measure(&options.ray, scope.ray_tasks).await {
            Ok(found) => results.ray.push(found),
            Err(error) => drop(results.skipped.insert("ray", format!("{error:#}"))),
        }
    }
    Ok(())
}

async fn scaling(scope: &Scope, options: &ControlPlane, results: &mut Results) -> anyhow::Result<()> {
    let main = scope.main(Kind::Embedded);
    for &workers in scope.workers {
        for &shards in scope.shards {
            let load = Load { workers, shards, until_commits: Load::nearly(shards), ..main };
            results.scaling.push(told("scaling", load, options).await?);
        }
    }
    results.scaling.push(told("ten audits", Load { audits: 10, ..main }, options).await?);
    Ok(())
}

/// The most that is sustained, and the waits at a share of it. As fast as it goes is no such load: by Little's law the
/// slots of all workers, divided by their rate, are the wait, and requests are only large because they wait.
async fn by_the_clock(scope: &Scope, options: &ControlPlane, results: &mut Results) -> anyhow::Result<()> {
    let saturated = median(results.main.iter().map(|row| row.shards_per_s)).expect("the main load was measured");
    let at = |rate: f64| Load { rate: Some(rate), ..scope.main(Kind::Embedded) };
    let goal = told("by the clock at the goal's load, embedded", at(GOAL_SHARDS_PER_S), options).await?;
    let mut sustained = keeps_pace(&goal, GOAL_SHARDS_PER_S).then_some(GOAL_SHARDS_PER_S);
    results.at_goal = Some(goal);
    let mut beyond = saturated;
    for _ in 0..HALVINGS {
        let Some(kept) = sustained.filter(|kept| *kept < beyond) else { break };
        let rate = (kept * beyond).sqrt();
        let row = told("by the clock, embedded", at(rate), options).await?;
        if keeps_pace(&row, rate) {
            sustained = Some(rate);
        } else {
            beyond = rate;
        }
        results.open.push(row);
    }
    if let Some(kept) = sustained {
        let share = told("by the clock at 70 % of what is sustained, embedded", at(OPEN_SHARE * kept), options).await?;
        results.at_share = Some(share);
    }
    let row = told("by the clock at 70 % of as fast as it goes, embedded", at(OPEN_SHARE * saturated), options).await?;
    results.open.push(row);
    results.sustained = sustained;
    Ok(())
}

fn keeps_pace(row: &Row, rate: f64) -> bool {
    row.found.lease_wait.p99_ms <= SUSTAINED_P99_MS && row.shards_per_s >= KEEPS_PACE * rate
}

async fn on_etcd(scope: &Scope, options: &ControlPlane, results: &mut Results) -> anyhow::Result<()> {
    let row = told("main load, etcd", scope.main(Kind::Etcd), options).await?;
    let open = Load { rate: Some(OPEN_SHARE * row.shards_per_s), ..scope.main(Kind::Etcd) };
    results.etcd = Some(row);
    results.open.push(told("open loop, etcd", open, options).await?);
    eprintln!("takeover after kill -9 of the leader");
    results.takeover_s = Some(faults::takeover(options).await?);
    Ok(())
}

/// Measures, and says so on stderr while it lasts.
async fn told(what: &str, load: Load, options: &ControlPlane) -> anyhow::Result<Row> {
    eprintln!("{what}: {} workers, {} shards, {} audit(s)", load.workers, load.shards, load.audits);
    let row = measure(load, options).await?;
    eprintln!("  {}", print::row(&row));
    Ok(row)
}
