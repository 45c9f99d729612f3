//! What telemetry costs scoring: instructions of a worker, agent and executor, while its metrics are scraped and its spans are
//! told, beside those of one of which nothing is asked.
//!
//! It must never count a start as a sample's cost: of each way there are two runs, over few and over many shards, and their
//! difference is divided. Instructions do not change with a busy machine, as times do.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use lethe_proto::v1::{GetAuditRequest, RunState, SubmitRequest};
use serde::Serialize;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, interval, sleep};

use super::super::figures::{median, spread};
use super::collector::Collector;
use super::memory;
use crate::cluster::{Launch, Process, Stdout, Token, listening_address, sibling, words};
use crate::reach::{Coordinators, Patience};
use crate::show::count;

const SHARDS: [u32; 2] = [2, 6];
const SAMPLES_A_SHARD: u32 = 200;
/// Everything is some fifty times slower under callgrind, so that this is as often as three times a second.
const SCRAPE_EVERY: Duration = Duration::from_secs(15);
/// How many of valgrind's basic blocks are counted at once: what came after the last time is lost when the executor is killed.
const BLOCKS_A_DUMP: &str = "4000000";
const LOOK_EVERY: Duration = Duration::from_millis(50);
const DEADLINE: Duration = Duration::from_secs(1_800);
/// As slow as it is, nobody must be called silent.
const HEARTBEAT_MS: &str = "60000";

/// Instructions a sample, a round each.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Cost {
    pub without: Vec<f64>,
    pub with: Vec<f64>,
}

impl Cost {
    /// With over without, by round.
    pub fn ratio(&self) -> Option<[f64; 3]> {
        spread(self.with.iter().zip(&self.without).map(|(with, without)| with / without))
    }
}

/// What is asked of the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Without,
    With,
}

pub async fn measure(rounds: u32) -> anyhow::Result<Cost> {
    let mut cost = Cost::default();
    for round in 0..rounds {
        for way in [Way::Without, Way::With] {
            eprintln!("telemetry: round {} of {rounds}, {way:?}, under callgrind", round + 1);
            let found = a_sample(way).await?;
            eprintln!("  {} instructions a sample", count(found as u64));
            match way {
                Way::Without => cost.without.push(found),
                Way::With => cost.with.push(found),
            }
        }
    }
    ensure!(median(cost.with.iter().copied()).is_some(), "no round was measured");
    Ok(cost)
}

async fn a_sample(way: Way) -> anyhow::Result<f64> {
    let (few, many) = (counted(way, SHARDS[0]).await?, counted(way, SHARDS[1]).await?);
    ensure!(many > few, "more shards took fewer instructions: {many} and {few}");
    Ok((many - few) as f64 / f64::from((SHARDS[1] - SHARDS[0]) * SAMPLES_A_SHARD))
}

/// Instructions of the worker's processes from their start until all was scored.
async fn counted(way: Way, shards: u32) -> anyhow::Result<u64> {
    let folder = tempfile::Builder::new().prefix("lethe-bench-").tempdir()?;
    let paths = memory::write_shards(folder.path(), SAMPLES_A_SHARD, shards)?;
    let spec = memory::spec(folder.path(), &paths)?;
    let token = Token::draw()?;
    let mut coordinator = Process::start(&coordinator(folder.path(), &token)?)?;
    let address = format!("http://{}", listening_address(&mut coordinator).await?);
    let collector = Collector::start().await?;
    let mut worker = worker(folder.path(), (&address, &token), (way, &collector.url))?;
    let ended = tokio::select! {
        ended = scored(Coordinators::with_token(&[address], token.as_str())?, &spec) => ended,
        status = worker.wait() => Err(anyhow::anyhow!("the worker ended: {status:?}")),
        never = scraped(folder.path(), way) => match never {},
    };
    drop(worker.kill().await); // its executor goes with it
    coordinator.stop().await;
    ended.with_context(|| tail(folder.path()))?;
    ensure!((collector.spans() > 0) == (way == Way::With), "{} spans were told", collector.spans());
    total(folder.path())
}

fn coordinator(folder: &Path, token: &Token) -> anyhow::Result<Launch> {
    let mut arguments = words(["--listen", "127.0.0.1:0", "--parent-stdin", "--heartbeat-ms", HEARTBEAT_MS]);
    arguments.extend(["--work".into(), folder.join("work").into(), "--results".into(), folder.join("results").into()]);
    Ok(Launch {
        name: "coordinator".to_owned(),
        program: sibling("lethe-coordinator")?,
        arguments,
        stdout: Stdout::Read,
        log: folder.join("coordinator.log"),
        token: token.clone(),
    })
}

fn worker(folder: &Path, (address, token): (&str, &Token), (way, collector): (Way, &str)) -> anyhow::Result<Child> {
    let log = std::fs::File::create(log(folder))?;
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--trace-children=yes", "--combine-dumps=yes"])
        .arg(format!("--dump-every-bb={BLOCKS_A_DUMP}"))
        .arg(format!("--callgrind-out-file={}/callgrind.%p", folder.display()))
        .arg(sibling("lethe-worker")?)
        .args(["--coordinator", address, "--id", "worker-0", "--device", "cpu"])
        .envs([("LETHE_THREADS", "1"), ("LETHE_DECODERS", "1"), ("LETHE_TOKEN", token.as_str())])
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT");
    if way == Way::With {
        command.args(["--metrics", "127.0.0.1:0", "--otlp", collector, "--log-json"]);
    }
    let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true).spawn();
    process.context("cannot start valgrind; Debian: apt-get install valgrind")
}

fn log(folder: &Path) -> PathBuf {
    folder.join("worker.log")
}

fn tail(folder: &Path) -> String {
    let text = std::fs::read_to_string(log(folder)).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

/// Submits, and waits until scoring is done. The caller's place in a trace is what makes workers tell spans.
async fn scored(mut coordinators: Coordinators, spec: &Value) -> anyhow::Result<()> {
    let request =
        SubmitRequest { audit: "bench".to_owned(), spec_json: serde_json::to_vec(spec)?, ..Default::default() };
    let submit = async |mut client: crate::reach::Client| {
        let mut request = tonic::Request::new(request.clone());
        let trace = lethe_telemetry::Trace::begin().to_string().parse().expect("is a header");
        request.metadata_mut().insert(lethe_telemetry::Trace::HEADER, trace);
        client.submit(request).await
    };
    coordinators.call(Patience::CALL, submit).await?;
    let by = Instant::now() + DEADLINE;
    loop {
        let ask = GetAuditRequest { audit: "bench".to_owned() };
        let reply = coordinators.call(Patience::CALL, async |mut client| client.get_audit(ask.clone()).await).await?;
        let view = reply.audit.context("the coordinator answered without the audit")?;
        if view.state() == RunState::Failed {
            bail!("the audit failed: {}", view.reason);
        }
        let phase = view.phases.iter().find(|phase| phase.name == "score").context("the plan does not score")?;
        if phase.state() == RunState::Succeeded {
            return Ok(());
        }
        ensure!(Instant::now() < by, "scoring is not done within {} s", DEADLINE.as_secs());
        sleep(LOOK_EVERY).await;
    }
}

/// Asks for the metrics, now and then, where they are served.
async fn scraped(folder: &Path, way: Way) -> std::convert::Infallible {
    let mut rounds = interval(SCRAPE_EVERY);
    loop {
        rounds.tick().await;
        if way == Way::With
            && let Some(address) = served_at(folder)
            && let Ok(mut connection) = TcpStream::connect(&address).await
        {
            let asked = connection.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await;
            // One that is missed is no matter: the next comes soon.
            drop(asked.and(connection.read_to_end(&mut Vec::new()).await));
        }
    }
}

fn served_at(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(log(folder)).ok()?;
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let line = lines.into_iter().find(|line| line["fields"]["message"] == "metrics are served")?;
    line["fields"]["address"].as_str().map(str::to_owned)
}

/// Of every dump of every process.
fn total(folder: &Path) -> anyhow::Result<u64> {
    let mut total = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("callgrind.")) {
            total += summaries(&std::fs::read_to_string(&path)?);
        }
    }
    ensure!(total > 0, "callgrind left no counts");
    Ok(total)
}

fn summaries(text: &str) -> u64 {
    let numbers = text.lines().filter_map(|line| line.strip_prefix("summary:")?.trim().parse::<u64>().ok());
    numbers.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dumps_of_a_process_add_up() {
        assert_eq!(summaries("events: Ir\nsummary: 12\n\nsummary: 30\ntotals: 30\n"), 42);
    }

    #[test]
    fn a_ratio_is_of_one_round() {
        let cost = Cost { without: vec![100.0, 200.0, 100.0], with: vec![101.0, 202.0, 100.0] };
        let [middle, least, most] = cost.ratio().expect("is measured");
        assert!((middle - 1.01).abs() < 1e-12 && (least - 1.0).abs() < 1e-12 && (most - 1.01).abs() < 1e-12);
    }
}
