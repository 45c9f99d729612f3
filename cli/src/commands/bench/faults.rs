//! How long a change of the leader and a restart take.
//!
//! It must never count a lease of the old term as one of the new.

use std::time::{Duration, Instant};

use anyhow::Context;
use lethe_common::time::Millis;
use lethe_proto::v1::ClusterRequest;
use tokio::time::sleep;

use super::coordinator::Coordinator;
use super::load::{Load, finished, ready, swarm};
use super::prefill::Filling;
use super::storage::{Kind, Storage};
use crate::arguments::ControlPlane;
use crate::cluster::Token;
use crate::reach::{Coordinators, Patience};

const WORKERS: u32 = 10;
const SHARDS: u32 = 1_000_000;
/// Long enough that the swarm has joined and works.
const BEFORE_THE_KILL: Duration = Duration::from_secs(4);
/// A takeover that took longer has failed.
const WINDOW_SECONDS: f64 = 40.0;
/// Enough for the shards of a takeover's window, and no more than a minute's filling.
const RATE: f64 = 200.0;

/// Seconds from `kill -9` of the leader to the first lease of the next, under load, on etcd.
pub async fn takeover(options: &ControlPlane) -> anyhow::Result<f64> {
    let storage = Storage::start(Kind::Etcd, Filling { audits: 1, shards: SHARDS, committed: 0 }).await?;
    let token = Token::draw()?;
    let leader = Coordinator::start(&storage, "first", &token).await?;
    ready(&[leader.url()], &token).await?;
    let standby = Coordinator::start(&storage, "second", &token).await?;
    let load = Load {
        kind: Kind::Etcd,
        workers: WORKERS,
        audits: 1,
        shards: SHARDS,
        rate: Some(RATE),
        seconds: WINDOW_SECONDS,
        until_commits: Load::nearly(SHARDS),
    };
    let swarm = swarm(&load, options, &token, (&[leader.url(), standby.url()], None))?;
    sleep(BEFORE_THE_KILL).await;
    let killed = Millis::now();
    leader.kill().await;
    let found = finished(swarm).await?;
    standby.stop().await;
    let terms: Vec<u64> = found.first_lease_ms.values().copied().collect();
    let (old, new) = (terms.iter().filter(|ms| **ms < killed.0).count(), terms.iter().find(|ms| **ms >= killed.0));
    anyhow::ensure!(old > 0, "the swarm had no lease before the leader was killed");
    let new = new.with_context(|| format!("no lease of a new term came within {WINDOW_SECONDS} s"))?;
    Ok((new - killed.0) as f64 / 1_000.0)
}

/// Seconds from the start of a coordinator to its first answer as the leader, with so many shards committed.
pub async fn restart(committed: u32) -> anyhow::Result<f64> {
    // One shard is left, so that the audit is loaded as one that runs.
    let filling = Filling { audits: 1, shards: committed + 1, committed };
    let storage = Storage::start(Kind::Embedded, filling).await?;
    let token = Token::draw()?;
    let started = Instant::now();
    let coordinator = Coordinator::start(&storage, "coordinator", &token).await?;
    answered(&coordinator, &token).await?;
    let took = started.elapsed();
    coordinator.stop().await;
    Ok(took.as_secs_f64())
}

/// Asks without a pause that would count as the coordinator's time.
async fn answered(coordinator: &Coordinator, token: &Token) -> anyhow::Result<()> {
    let mut coordinators = Coordinators::with_token(&[coordinator.url()], token.as_str())?;
    let once = Patience { silent_rounds: 1, total: Duration::ZERO };
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let asked = coordinators.call(once, async |mut client| client.cluster(ClusterRequest {}).await).await;
        match asked {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error).context("the coordinator never led"),
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}
