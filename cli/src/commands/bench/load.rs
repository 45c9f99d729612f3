//! One load on one coordinator: start, wait until it leads, let the swarm work, read what it cost.
//!
//! It must never compare runs that differed in more than what is printed.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use lethe_proto::v1::{ClusterRequest, ListAuditsRequest, PhaseKind};
use lethe_tls::Role;
use serde::Serialize;
use tokio::process::{Child, Command};

use super::coordinator::{Coordinator, Start};
use super::pki::Pki;
use super::prefill::Filling;
use super::storage::{Kind, Storage};
use super::swarm::Found;
use crate::arguments::ControlPlane;
use crate::cluster::Token;
use crate::reach::{Coordinators, Patience};

const NO_SWARM: &str = "cannot start the simulated workers";

/// What is asked of one coordinator.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub kind: Kind,
    pub workers: u32,
    pub audits: u32,
    /// Of all audits together.
    pub shards: u32,
    /// Shards finished a second; without it as many as it gives.
    pub rate: Option<f64>,
    pub seconds: f64,
    /// Ends it early.
    pub until_commits: u32,
}

impl Load {
    /// Near the end of an audit there is less to lease than there are slots.
    pub const fn nearly(shards: u32) -> u32 {
        shards - shards / 10
    }
}

/// One row of the table.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub store: &'static str,
    pub workers: u32,
    pub audits: u32,
    pub shards: u32,
    /// Shards granted and committed durably, a second.
    pub shards_per_s: f64,
    /// Grants and commits together.
    pub lease_ops_per_s: f64,
    pub durable_commits_per_s: f64,
    pub requests_per_s: f64,
    pub commits_per_request: f64,
    pub leases_per_message: f64,
    pub coordinator_cpu_us_per_shard: f64,
    pub swarm_cpu_us_per_shard: f64,
    pub coordinator_peak_bytes: u64,
    pub found: Found,
}

pub async fn measure(load: Load, options: &ControlPlane) -> anyhow::Result<Row> {
    measure_behind(load, options, None).await
}

/// The same, over TLS where there are certificates for it.
pub async fn measure_behind(load: Load, options: &ControlPlane, pki: Option<&Pki>) -> anyhow::Result<Row> {
    let filling = Filling { audits: load.audits, shards: load.shards / load.audits, committed: 0 };
    let storage = Storage::start(load.kind, filling).await?;
    let token = Token::draw()?;
    let of = |role| pki.map(|pki| pki.of(role));
    let tls = of(Role::Coordinator);
    let start = Start { storage: &storage, name: "coordinator", token: &token, tls: tls.as_deref() };
    let coordinator = Coordinator::begin(start).await?;
    let reach = || match of(Role::Admin) {
        Some(folder) => Coordinators::new(&[coordinator.url()], Some(&folder)),
        None => Coordinators::with_token(&[coordinator.url()], token.as_str()),
    };
    leads(reach()?).await?;
    let mut command = swarm_command(&load, options, &token, (&[coordinator.url()], Some(coordinator.pid)))?;
    if let Some(folder) = of(Role::Worker) {
        command.arg("--tls").arg(folder);
    }
    let found = finished(command.spawn().context(NO_SWARM)?).await?;
    let stored = committed(reach()?).await?;
    let peak = coordinator.peak_bytes()?;
    coordinator.stop().await;
    if found.commits == 0 {
        bail!("no shard was committed: {}", found.first_error.unwrap_or_default());
    }
    // The swarm's count is a claim; the coordinator's is what is stored.
    if stored < found.commits || stored > u64::from(load.shards) {
        bail!("the swarm counted {} commits, the coordinator has {stored} of {} shards", found.commits, load.shards);
    }
    Ok(row(load, found, peak))
}

fn row(load: Load, found: Found, coordinator_peak_bytes: u64) -> Row {
    let per_second = |count: u64| count as f64 / found.seconds;
    let ratio = |many: u64, few: u64| many as f64 / few.max(1) as f64;
    Row {
        store: match load.kind {
            Kind::Embedded => "embedded",
            Kind::Etcd => "etcd, 3 members",
        },
        workers: load.workers,
        audits: load.audits,
        shards: load.shards,
        shards_per_s: per_second(found.commits.min(found.leases)),
        lease_ops_per_s: per_second(found.leases + found.commits),
        durable_commits_per_s: per_second(found.commits),
        requests_per_s: per_second(found.commit_requests + found.lease_messages),
        commits_per_request: ratio(found.commits, found.commit_requests),
        leases_per_message: ratio(found.leases, found.lease_messages),
        coordinator_cpu_us_per_shard: 1e6 * found.coordinator_cpu_seconds / found.commits.max(1) as f64,
        swarm_cpu_us_per_shard: 1e6 * found.swarm_cpu_seconds / found.commits.max(1) as f64,
        coordinator_peak_bytes,
        found,
    }
}

/// Shards of all audits that the coordinator calls committed.
pub async fn committed(mut coordinators: Coordinators) -> anyhow::Result<u64> {
    let ask = coordinators.call(Patience::CALL, async |mut client| client.list_audits(ListAuditsRequest {}).await);
    let audits = ask.await?.audits;
    let maps = audits.iter().flat_map(|audit| &audit.phases).filter(|phase| phase.kind() == PhaseKind::Map);
    Ok(maps.map(|phase| phase.done).sum())
}

/// Waits until one of them leads and answers.
pub async fn ready(urls: &[String], token: &Token) -> anyhow::Result<()> {
    leads(Coordinators::with_token(urls, token.as_str())?).await
}

async fn leads(mut coordinators: Coordinators) -> anyhow::Result<()> {
    let patience = Patience { silent_rounds: 1_000, total: Duration::from_secs(60) };
    coordinators.call(patience, async |mut client| client.cluster(ClusterRequest {}).await).await?;
    Ok(())
}

/// The simulated workers, as a process of their own.
pub fn swarm(
    load: &Load,
    options: &ControlPlane,
    token: &Token,
    (urls, pid): (&[String], Option<u32>),
) -> anyhow::Result<Child> {
    swarm_command(load, options, token, (urls, pid))?.spawn().context(NO_SWARM)
}

fn swarm_command(
    load: &Load,
    options: &ControlPlane,
    token: &Token,
    (urls, pid): (&[String], Option<u32>),
) -> anyhow::Result<Command> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(program);
    command.args(["bench", "swarm", "--coordinator", &urls.join(",")]);
    let numbers = [
        ("--workers", load.workers.to_string()),
        ("--slots", options.slots.to_string()),
        ("--workers-per-connection", options.workers_per_connection.to_string()),
        ("--seconds", load.seconds.to_string()),
        ("--until-commits", load.until_commits.to_string()),
    ];
    let rate = load.rate.map(|rate| ("--rate", rate.to_string()));
    let pid = pid.map(|pid| ("--pid", pid.to_string()));
    for (name, value) in numbers.into_iter().chain(rate).chain(pid) {
        command.args([name, &value]);
    }
    command.env("LETHE_TOKEN", token.as_str()).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    Ok(command)
}

pub async fn finished(swarm: Child) -> anyhow::Result<Found> {
    let output = swarm.wait_with_output().await?;
    if !output.status.success() {
        bail!("the simulated workers ended with {}", output.status);
    }
    serde_json::from_slice(&output.stdout).context("the simulated workers printed something else than their figures")
}
