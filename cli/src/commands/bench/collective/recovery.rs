//! From `kill -9` of one rank to the next step that all ranks commit, less one undisturbed step.
//!
//! It must never count a step that was under way when the rank was killed as one after it: the first step of a later
//! generation is what counts.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use lethe_common::spec::GangSection;
use lethe_common::time::Millis;
use lethe_evidence::artifacts::{Training, names};
use lethe_proto::v1::{AuditView, GetAuditRequest, RunState, SubmitRequest};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::super::figures::median;
use super::drill::{Course, Shape};
use super::executors;
use crate::arguments::Devices;
use crate::cluster::{Client, Cluster, ClusterPlan};

pub const RANKS: u32 = 4;
/// 9.6 M parameters, of which 3.2 M are trained: the word table has no more rows than the captions have words.
const SHAPE: Shape = Shape { side: 28, patch: 7, width: 128, text_width: 128, layers: 8 };
const BATCH: u32 = 16;
/// The coordinator gives a gang up after 20 lost generations.
const LOSSES_A_TRAINING: u32 = 10;
/// Undisturbed steps between two losses.
const STEPS_BETWEEN: u64 = 6;
const DEFAULT_HEARTBEAT_MS: u64 = 1_000;
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Where only the end is waited for: looking takes the processor that the steps are measured on.
const GLANCE_EVERY: Duration = Duration::from_millis(500);
/// Without a step.
const DEADLINE: Duration = Duration::from_secs(300);

#[derive(Debug, Clone, Serialize)]
pub struct Recovery {
    pub ranks: u32,
    pub losses: usize,
    pub median_s: f64,
    pub least_s: f64,
    pub most_s: f64,
    /// The middle of the undisturbed steps.
    pub step_s: f64,
    pub all_s: Vec<f64>,
}

pub async fn measure(losses: u32) -> anyhow::Result<Recovery> {
    let (mut all_s, mut steps_s) = (Vec::new(), Vec::new());
    let mut left = losses;
    while left > 0 {
        let count = left.min(LOSSES_A_TRAINING);
        let (kills, training) = disturbed(count, u64::from(left)).await?;
        let step = undisturbed_step(&training).context("no two steps of one generation followed each other")?;
        for kill in kills {
            all_s.push((next_committed(&training, kill)?.0 - kill.0) as f64 / 1_000.0 - step);
        }
        steps_s.push(step);
        left -= count;
    }
    let median_s = median(all_s.iter().copied()).context("no loss was measured")?;
    let (least_s, most_s) = all_s.iter().fold((f64::MAX, f64::MIN), |(a, b), s| (a.min(*s), b.max(*s)));
    let step_s = median(steps_s.into_iter()).unwrap_or_default();
    Ok(Recovery { ranks: RANKS, losses: all_s.len(), median_s, least_s, most_s, step_s, all_s })
}

/// One training in which executors are killed, and when.
async fn disturbed(losses: u32, seed: u64) -> anyhow::Result<(Vec<Millis>, Training)> {
    let folder = tempfile::Builder::new().prefix("lethe-bench-").tempdir()?;
    let steps = u64::from(losses + 1) * (STEPS_BETWEEN + 4);
    let gang = GangSection { steps, batch: BATCH, learning_rate: 1e-4, ..GangSection::PLAIN };
    let spec = Course { shape: SHAPE, ranks: RANKS, gang }.prepare(folder.path())?;
    let result = folder.path().join("result");
    std::fs::create_dir(&result)?;
    let (workers, devices) = (RANKS, Devices::Cpu);
    let plan = ClusterPlan { result: result.clone(), workers, devices, heartbeat_ms: DEFAULT_HEARTBEAT_MS };
    let mut cluster = Cluster::start(&plan).await?;
    let ended = tokio::select! {
        ended = kill_in_turn(cluster.client().await?, serde_json::to_vec(&spec)?, losses, seed) => ended,
        broken = cluster.broken() => Err(broken),
    };
    cluster.stop().await;
    let kills = ended?;
    Ok((kills, report(&result)?))
}

/// What the training tells of itself.
pub fn report(result: &Path) -> anyhow::Result<Training> {
    let path = result.join(names::TRAINING);
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).context("the training's report is not readable")
}

async fn kill_in_turn(mut client: Client, spec_json: Vec<u8>, losses: u32, seed: u64) -> anyhow::Result<Vec<Millis>> {
    let audit = "bench".to_owned();
    client.submit(SubmitRequest { audit: audit.clone(), spec_json, ..Default::default() }).await?;
    let mut draws = ChaCha8Rng::seed_from_u64(seed);
    let (mut kills, mut until) = (Vec::new(), STEPS_BETWEEN);
    for _ in 0..losses {
        let done = reached(&mut client, &audit, Some(until)).await?;
        // Anywhere in a step.
        sleep(Duration::from_millis(draws.random_range(0..500))).await;
        let ranks = executors::executors()?;
        ensure!(ranks.len() == RANKS as usize, "{} executors run, not {RANKS}", ranks.len());
        executors::end(*ranks.choose(&mut draws).context("there is an executor")?)?;
        kills.push(Millis::now());
        until = done + 2 + STEPS_BETWEEN;
    }
    reached(&mut client, &audit, None).await?;
    Ok(kills)
}

/// Waits until the gang took so many steps, or else for the audit's good end.
pub async fn reached(client: &mut Client, audit: &str, steps: Option<u64>) -> anyhow::Result<u64> {
    let (mut last, mut since) = (0, Instant::now());
    let pause = if steps.is_some() { LOOK_EVERY } else { GLANCE_EVERY };
    loop {
        let reply = client.get_audit(GetAuditRequest { audit: audit.to_owned() }).await?.into_inner();
        let view = reply.audit.context("the coordinator answered without the audit")?;
        let done = taken(&view);
        if done != last {
            (last, since) = (done, Instant::now());
        }
        match view.state() {
            RunState::Succeeded if steps.is_none() => return Ok(done),
            RunState::Succeeded => bail!("the training ended after {done} steps, before the last loss"),
            RunState::Failed => bail!("the training failed: {}", view.reason),
            _ if steps.is_some_and(|steps| done >= steps) => return Ok(done),
            _ if since.elapsed() > DEADLINE => bail!("no step after {done} for {} s", DEADLINE.as_secs()),
            _ => sleep(pause).await,
        }
    }
}

fn taken(view: &AuditView) -> u64 {
    view.phases.iter().find(|phase| phase.name == "train").map_or(0, |phase| phase.in_flight_done.max(phase.done))
}

/// The middle of the times between two steps of one generation.
fn undisturbed_step(training: &Training) -> Option<f64> {
    let steps = training.applied_ms.windows(2).zip(training.generations.windows(2));
    let alike = steps.filter(|(_, generations)| generations[0] == generations[1]);
    median(alike.map(|(at, _)| at[1].saturating_sub(at[0]) as f64 / 1_000.0))
}

/// When the first step of a generation was applied that began after the kill.
fn next_committed(training: &Training, kill: Millis) -> anyhow::Result<Millis> {
    let before = training.applied_ms.iter().zip(&training.generations).filter(|(at, _)| **at <= kill.0);
    let generation = before.map(|(_, generation)| *generation).max().context("no step came before the kill")?;
    let mut steps = training.applied_ms.iter().zip(&training.generations);
    let next = steps.find(|(at, of)| **at > kill.0 && **of > generation);
    next.map(|(at, _)| Millis(*at)).context("no generation came after the kill")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_was_under_way_is_not_the_recovery() {
        let training = Training {
            applied_ms: vec![100, 200, 300, 1_400, 1_500],
            generations: vec![1, 1, 1, 2, 2],
            ..Training::default()
        };
        assert_eq!(next_committed(&training, Millis(250)).expect("is there"), Millis(1_400));
        assert_eq!(undisturbed_step(&training), Some(0.1));
        assert!(next_committed(&training, Millis(1_450)).is_err());
    }
}
