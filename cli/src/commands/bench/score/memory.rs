//! The memory that scoring takes, and its cost a sample, as the data grow: from 10,000 samples in one shard to a hundred
//! times as many in ten shards of ten times the size.
//!
//! It must never measure a loop of its own: it is an audit's scoring, by the binaries that an audit runs. The model is the
//! smallest that still is a CLIP, so that what grows with the samples shows.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use lethe_data::{ShardWriter, encode_png};
use lethe_proto::v1::{GetAuditRequest, PhaseView, RunState, SubmitRequest};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::super::collective::executors;
use super::super::figures::spread;
use super::super::proc::{cpu_seconds, peak_bytes};
use super::model;
use crate::arguments::Devices;
use crate::cluster::{Client, Cluster, ClusterPlan};

/// Pixels a side; a tower of four patches.
const SIDE: u32 = 16;
const WIDTH: u32 = 32;
/// Pairs that every sample is compared with: fewer than usual, since they cost time and not memory.
const REFERENCE: u32 = 256;
/// The small run is so many times smaller.
const TIMES: u32 = 100;
/// Of the large run; each is a link to one file, so that the disk need not hold them all.
const SHARDS: u32 = 10;
/// Before the large run, and as many after it.
const SMALL_RUNS: u32 = 3;
const WORDS_A_CAPTION: u32 = 8;
const VOCABULARY: f64 = 100_000.0;
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Without any progress.
const DEADLINE: Duration = Duration::from_secs(300);
const HEARTBEAT_MS: u64 = 5_000;

/// One scoring of so many samples.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    pub samples: u64,
    pub shards: u32,
    /// VmHWM of the executor when scoring had ended.
    pub peak_bytes: u64,
    /// Processor time of the executor while it scored, a sample.
    pub cpu_us_a_sample: f64,
}

#[derive(Debug, Clone, Serialize)]
pub struct Memory {
    /// Half of them before the large run and half after it, so that a machine that changes its pace shows.
    pub few: Vec<Run>,
    pub many: Run,
}

impl Memory {
    /// The peak of many samples over that of few.
    pub fn growth(&self) -> Option<[f64; 3]> {
        self.over_few(|run| run.peak_bytes as f64)
    }

    /// The cost of a sample among many over that among few.
    pub fn cost_growth(&self) -> Option<[f64; 3]> {
        self.over_few(|run| run.cpu_us_a_sample)
    }

    fn over_few(&self, of: impl Fn(&Run) -> f64) -> Option<[f64; 3]> {
        spread(self.few.iter().map(|few| of(&self.many) / of(few)))
    }
}

/// Scores `samples`, and before and after it a hundredth of them several times.
pub async fn measure(samples: u32) -> anyhow::Result<Memory> {
    let (few, a_shard) = (samples / TIMES, samples / SHARDS);
    ensure!(few > 0, "--memory-samples {samples} is less than {TIMES}");
    let mut small = Vec::new();
    eprintln!("memory: {SMALL_RUNS} times {few} samples in one shard");
    for _ in 0..SMALL_RUNS {
        small.push(run(few, 1).await?);
    }
    eprintln!("memory: {samples} samples in {SHARDS} shards of {a_shard}");
    let many = run(a_shard, SHARDS).await?;
    eprintln!("memory: {SMALL_RUNS} times {few} samples in one shard");
    for _ in 0..SMALL_RUNS {
        small.push(run(few, 1).await?);
    }
    Ok(Memory { few: small, many })
}

async fn run(samples: u32, shards: u32) -> anyhow::Result<Run> {
    let folder = tempfile::Builder::new().prefix("lethe-bench-").tempdir()?;
    let paths = write_shards(folder.path(), samples, shards)?;
    let spec = spec(folder.path(), &paths)?;
    let result = folder.path().join("result");
    std::fs::create_dir(&result)?;
    let plan = ClusterPlan { result, workers: 1, devices: Devices::Cpu, heartbeat_ms: HEARTBEAT_MS };
    let mut cluster = Cluster::start(&plan).await?;
    let ended = tokio::select! {
        ended = score(cluster.client().await?, serde_json::to_vec(&spec)?) => ended,
        broken = cluster.broken() => Err(broken),
    };
    cluster.stop().await;
    let (peak_bytes, cpu_s, scored) = ended?;
    let samples = u64::from(samples) * u64::from(shards);
    ensure!(scored == samples, "{scored} of {samples} samples were scored");
    Ok(Run { samples, shards, peak_bytes, cpu_us_a_sample: cpu_s * 1e6 / samples as f64 })
}

/// Submits, and waits until scoring is done: the executor's peak, its processor time since scoring began, and how many
/// samples were scored.
async fn score(mut client: Client, spec_json: Vec<u8>) -> anyhow::Result<(u64, f64, u64)> {
    let audit = "bench".to_owned();
    client.submit(SubmitRequest { audit: audit.clone(), spec_json, ..Default::default() }).await?;
    let (mut began, mut last, mut since) = (None, (0, 0), Instant::now());
    loop {
        let reply = client.get_audit(GetAuditRequest { audit: audit.clone() }).await?.into_inner();
        let view = reply.audit.context("the coordinator answered without the audit")?;
        let phase = view.phases.iter().find(|phase| phase.name == "score").context("the plan does not score")?;
        match phase.state() {
            _ if view.state() == RunState::Failed => bail!("the audit failed: {}", view.reason),
            RunState::Running if began.is_none() => began = Some(cpu_seconds(executor()?)?),
            RunState::Succeeded => return spent(phase, began.context("scoring was over before it was seen")?),
            _ => {}
        }
        let progress = (phase.done, phase.in_flight_done);
        if progress != last || began.is_none() && view.phases.iter().any(|phase| phase.in_flight_done > 0) {
            (last, since) = (progress, Instant::now());
        }
        ensure!(since.elapsed() < DEADLINE, "scoring stands still at {last:?} for {} s", DEADLINE.as_secs());
        sleep(LOOK_EVERY).await;
    }
}

fn spent(phase: &PhaseView, began_s: f64) -> anyhow::Result<(u64, f64, u64)> {
    let executor = executor()?;
    let scored = phase.counts.as_ref().map_or(0, |counts| counts.scored);
    Ok((peak_bytes(executor)?, cpu_seconds(executor)? - began_s, scored))
}

fn executor() -> anyhow::Result<u32> {
    match executors::executors()?[..] {
        [one] => Ok(one as u32),
        ref other => bail!("{} executors run, not one", other.len()),
    }
}

fn spec(folder: &Path, shards: &[PathBuf]) -> anyhow::Result<Value> {
    let config = json!({
        "embed_dim": WIDTH,
        "vision_cfg": {"image_size": SIDE, "patch_size": SIDE / 2, "width": WIDTH, "head_width": 16, "layers": 1},
        "text_cfg": {"context_length": 16, "vocab_size": 49_408, "width": WIDTH, "heads": 2, "layers": 1},
    });
    let (model, checkpoint) = model::write(folder, "model", &config)?;
    Ok(json!({
        "audit": {"id": "bench"},
        "model": {"config": model, "checkpoint": checkpoint},
        "data": {"shards": shards},
        "reference": {"samples": REFERENCE},
        "workers": {"count": 1, "heartbeat_ms": HEARTBEAT_MS},
    }))
}

/// One shard of noise, and links to it.
fn write_shards(folder: &Path, samples: u32, shards: u32) -> anyhow::Result<Vec<PathBuf>> {
    let path = |shard: u32| folder.join(format!("{shard:05}.tar"));
    let file = File::create(path(0)).with_context(|| format!("cannot write {}", path(0).display()))?;
    let mut writer = ShardWriter::new(BufWriter::new(file));
    let mut draws = ChaCha8Rng::seed_from_u64(1);
    let mut noise = vec![0_u8; (SIDE * SIDE * 3) as usize];
    for sample in 0..samples {
        draws.fill(&mut noise[..]);
        writer.append(&format!("{sample:09}"), &encode_png(&noise, SIDE)?, "png", &caption(&mut draws))?;
    }
    writer.finish()?.into_inner()?.sync_all()?;
    for shard in 1..shards {
        std::fs::hard_link(path(0), path(shard))?;
    }
    Ok((0..shards).map(path).collect())
}

/// Words as frequent as in real text, where the n-th most frequent comes 1/n as often as the first (Zipf).
fn caption(draws: &mut ChaCha8Rng) -> String {
    let mut word = || format!("w{}", VOCABULARY.powf(draws.random::<f64>()) as u64);
    (0..WORDS_A_CAPTION).map(|_| word()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_hold_what_they_should_and_links_share_it() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let paths = write_shards(folder.path(), 30, 3).expect("writes");
        let read = |path: &Path| {
            let reader = lethe_data::open_shard(path, lethe_data::Limits::default()).expect("opens");
            reader.map(|sample| sample.expect("is whole").caption).collect::<Vec<_>>()
        };
        assert_eq!((paths.len(), read(&paths[0]).len()), (3, 30));
        assert_eq!(read(&paths[0]), read(&paths[2]));
    }

    #[test]
    fn growth_is_many_over_few() {
        let run =
            |peak_bytes: u64| Run { samples: 1, shards: 1, peak_bytes, cpu_us_a_sample: 1000.0 / peak_bytes as f64 };
        let memory = Memory { few: vec![run(200), run(110), run(220)], many: run(220) };
        assert_eq!(memory.growth(), Some([1.1, 1.0, 2.0]));
        assert_eq!(memory.cost_growth().map(|[_, least, most]| [least, most]), Some([0.5, 1.0]));
    }
}
