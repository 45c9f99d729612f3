//! What a step costs: a ViT-B/32 on 2 and 4 ranks, beside its computation alone and beside DistributedDataParallel.
//!
//! All ranks share the machine's cores, so wall time says little of a cluster; processor time, bytes and waits do. What is
//! compared takes turns within a round, so that a busy machine is busy for all of them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, ensure};
use futures::future::try_join_all;
use lethe_common::spec::GangSection;
use lethe_evidence::artifacts::{Calls, Training};
use lethe_proto::v1::SubmitRequest;
use serde::Serialize;
use serde_json::Value;

use super::super::figures::median;
use super::super::ray::ask;
use super::drill::{CAPTION_TOKENS, Course, Shape, VOCABULARY};
use super::meter::{Meter, Reading};
use super::recovery::{reached, report};
use crate::arguments::{Collective, Devices};
use crate::cluster::{Client, Cluster, ClusterPlan};

/// 126 M parameters where the word table has no more rows than the captions have words.
const SHAPE: Shape = Shape { side: 224, patch: 32, width: 768, text_width: 512, layers: 12 };
/// The first steps show the order of buckets and warm the allocator up.
const WARM_UP: usize = 2;
const MEASURED: usize = 4;
/// Trainings that run side by side do not begin at once: each takes so many times the steps, and what counts is the time
/// in which all do.
const SIDE_BY_SIDE: u64 = 4;
/// As long as the machine takes: what hangs is found by the gang itself.
const HEARTBEAT_MS: u64 = 5_000;
/// More than the model has: one bucket, so that nothing overlaps.
const ONE_BUCKET_MIB: u32 = 4_096;

/// What one training showed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Cost {
    /// Wall time of each measured step.
    pub step_s: Vec<f64>,
    /// Processor time of a step, all ranks together.
    pub cpu_s: f64,
    /// Bytes that a rank wrote in a step, headers and all.
    pub written_bytes: f64,
    /// What a step's collective calls were given and how long rank 0 waited in them.
    pub collectives: BTreeMap<String, Calls>,
    /// The most memory that a rank had.
    pub peak_bytes: u64,
    pub parameters: u64,
}

impl Cost {
    pub fn wall_s(&self) -> f64 {
        median(self.step_s.iter().copied()).unwrap_or_default()
    }

    /// What is not a gradient: features, votes. The slopes and the loss are summed and so counted as gradient.
    pub fn gathered_bytes(&self) -> f64 {
        self.collectives.get("all_gather").map_or(0.0, |calls| calls.payload_bytes as f64)
    }
}

/// One turn of each.
#[derive(Debug, Clone, Serialize)]
pub struct Round {
    pub ranks: u32,
    pub lethe: Cost,
    /// One bucket: gradients are summed when backward is over.
    pub without_overlap: Cost,
    /// As many processes, each with its share and without peers.
    pub computation: Cost,
    pub ddp: Option<Value>,
}

impl Round {
    /// Processor time beyond the computation's, as a share of it.
    pub fn overhead(&self) -> f64 {
        self.lethe.cpu_s / self.computation.cpu_s - 1.0
    }

    pub fn ratio_to_ddp(&self) -> Option<f64> {
        Some(self.lethe.wall_s() / ddp_median(self.ddp.as_ref()?, "step_s")?)
    }

    /// Gradient bytes that a rank sent, over 2(n-1)/n of the gradient; features, votes and their headers are left out.
    pub fn bytes_over_ring(&self) -> f64 {
        let ring = 2.0 * f64::from(self.ranks - 1) / f64::from(self.ranks) * self.lethe.parameters as f64 * 4.0;
        // A rank sends what it gathered to every other.
        let gathered = self.lethe.gathered_bytes() * f64::from(self.ranks - 1);
        (self.lethe.written_bytes - gathered) / ring
    }
}

pub fn ddp_median(found: &Value, key: &str) -> Option<f64> {
    median(found[key].as_array()?.iter().filter_map(Value::as_f64))
}

/// The rounds that went well, and why parts of others are missing.
pub async fn measure(options: &Collective) -> anyhow::Result<(Vec<Round>, Vec<String>)> {
    for ranks in &options.ranks {
        let divides = *ranks > 0 && options.batch.is_multiple_of(*ranks);
        ensure!(divides, "--batch {} does not divide by {ranks} ranks", options.batch);
    }
    let (mut rounds, mut missing) = (Vec::new(), Vec::new());
    for number in 1..=options.rounds {
        for &ranks in &options.ranks {
            let name = format!("round {number} of {}, {ranks} ranks", options.rounds);
            eprintln!("steps: {name}");
            let mut miss = |what: &str, error: anyhow::Error| {
                eprintln!("{what} is left out: {error:#}");
                missing.push(format!("{name}, {what}: {error:#}"));
            };
            match round(options, ranks, &mut miss).await {
                Ok(found) => rounds.push(found),
                Err(error) => miss("all of it", error),
            }
        }
    }
    Ok((rounds, missing))
}

async fn round(options: &Collective, ranks: u32, miss: &mut impl FnMut(&str, anyhow::Error)) -> anyhow::Result<Round> {
    let gang = |batch: u32| GangSection {
        steps: (WARM_UP + MEASURED) as u64,
        batch,
        learning_rate: 1e-4,
        checkpoint_seconds: 3_600,
        ..GangSection::PLAIN
    };
    let whole = Course { shape: SHAPE, ranks, gang: gang(options.batch) };
    let one_bucket = GangSection { bucket_mib: ONE_BUCKET_MIB, ..whole.gang.clone() };
    let longer = |gang: GangSection| GangSection { steps: gang.steps * SIDE_BY_SIDE, ..gang };
    let share = Course { shape: SHAPE, ranks: 1, gang: longer(gang(options.batch / ranks)) };
    let lethe = cost(std::slice::from_ref(&whole)).await.context("the steps were not measured")?;
    let ddp = match options.no_ddp {
        true => None,
        false => {
            let found = ddp(&options.ddp, ranks, options.batch).await;
            found.map_err(|error| miss("DistributedDataParallel", error)).ok()
        }
    };
    let without_overlap = cost(&[Course { gang: one_bucket, ..whole }]).await?;
    let computation = cost(&vec![share; ranks as usize]).await.context("the computation alone was not measured")?;
    Ok(Round { ranks, lethe, without_overlap, computation, ddp })
}

async fn ddp(script: &Path, ranks: u32, batch: u32) -> anyhow::Result<Value> {
    let numbers =
        [ranks as usize, batch as usize, MEASURED, VOCABULARY, CAPTION_TOKENS].map(|number| number.to_string());
    let [ranks, batch, steps, words, tokens] = &numbers;
    let arguments = ["--ranks", ranks, "--batch", batch, "--steps", steps, "--words", words, "--tokens", tokens];
    ask(script, &arguments, "ddp").await
}

/// Runs trainings side by side; what they cost together while all of them took steps.
async fn cost(courses: &[Course]) -> anyhow::Result<Cost> {
    let meter = Meter::start();
    let trainings = try_join_all(courses.iter().map(train)).await?;
    let readings = meter.stop().await?;
    let first = trainings.iter().filter_map(|training| training.applied_ms.get(WARM_UP - 1)).max();
    let last = trainings.iter().filter_map(|training| training.applied_ms.last()).min();
    let (from, to) = first.copied().zip(last.copied()).context("a training took no steps")?;
    ensure!(from < to, "the trainings did not run side by side");
    let taken: f64 =
        trainings.iter().map(|training| steps_within(training, from, to)).sum::<f64>() / courses.len() as f64;
    let spent = Reading::between(&readings, from, to).context("nothing was read while the steps ran")?;
    let ranks: u32 = courses.iter().map(|course| course.ranks).sum();
    let within = trainings[0].applied_ms.windows(2).filter(|pair| pair[0] >= from && pair[1] <= to);
    Ok(Cost {
        step_s: within.map(|pair| (pair[1] - pair[0]) as f64 / 1_000.0).collect(),
        cpu_s: spent.cpu_s / taken,
        written_bytes: spent.written_bytes / taken / f64::from(ranks),
        collectives: a_step(&trainings[0]),
        peak_bytes: spent.peak_bytes,
        parameters: trainings[0].parameters,
    })
}

/// How many steps a training took within a time, the first and the last in part.
fn steps_within(training: &Training, from: u64, to: u64) -> f64 {
    let within = |pair: &[u64]| {
        let shared = to.min(pair[1]).saturating_sub(from.max(pair[0]));
        shared as f64 / (pair[1] - pair[0]).max(1) as f64
    };
    training.applied_ms.windows(2).map(within).sum()
}

/// What the training's calls come to a step.
fn a_step(training: &Training) -> BTreeMap<String, Calls> {
    let steps = training.steps.max(1);
    let share = |calls: &Calls| Calls {
        calls: calls.calls / steps,
        payload_bytes: calls.payload_bytes / steps,
        waited_s: calls.waited_s / steps as f64,
    };
    training.collectives.iter().map(|(name, calls)| (name.clone(), share(calls))).collect()
}

async fn train(course: &Course) -> anyhow::Result<Training> {
    let folder = tempfile::Builder::new().prefix("lethe-bench-").tempdir()?;
    let spec = course.prepare(folder.path())?;
    let result = folder.path().join("result");
    std::fs::create_dir(&result)?;
    let plan = ClusterPlan {
        result: result.clone(),
        workers: course.ranks,
        devices: Devices::Cpu,
        heartbeat_ms: HEARTBEAT_MS,
    };
    let mut cluster = Cluster::start(&plan).await?;
    let ended = tokio::select! {
        ended = to_the_end(cluster.client().await?, serde_json::to_vec(&spec)?) => ended,
        broken = cluster.broken() => Err(broken),
    };
    cluster.stop().await;
    ended?;
    report(&result)
}

async fn to_the_end(mut client: Client, spec_json: Vec<u8>) -> anyhow::Result<()> {
    let audit = "bench".to_owned();
    client.submit(SubmitRequest { audit: audit.clone(), spec_json, ..Default::default() }).await?;
    reached(&mut client, &audit, None).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_is_within_in_part_counts_in_part() {
        let training = Training { applied_ms: vec![1_000, 2_000, 4_000, 5_000], ..Training::default() };
        assert!((steps_within(&training, 1_500, 4_500) - 2.0).abs() < 1e-9);
        assert!((steps_within(&training, 0, 9_000) - 3.0).abs() < 1e-9);
    }
}
