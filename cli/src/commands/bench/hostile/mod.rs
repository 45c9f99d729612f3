//! `lethe bench hostile`: what an honest client notices while others do their worst to a coordinator, and what that costs it.
//!
//! It must never attack anything but the coordinator that it started itself, on loopback.

mod attack;
mod badly;
mod crew;
mod honest;
mod print;

use std::time::Duration;

use anyhow::bail;
use lethe_tls::{Credentials, Role};
use serde::Serialize;
use tokio::time::Instant;

use super::coordinator::{Coordinator, Start};
use super::figures;
use super::pki::Pki;
use super::prefill::Filling;
use super::storage::{Kind, Storage};
use crate::arguments::Hostile;
use crate::cluster::Token;
use crate::exit::Ending;

use attack::{Attack, Foe};
use crew::{Crew, Tally};
use honest::{Honest, Waits};

/// So that lists and views have something in them.
const FILLING: Filling = Filling { audits: 20, shards: 1_000, committed: 500 };
/// Quiet before each attack, so that both see the same machine.
const QUIET_SHARE: f64 = 0.25;

/// One kind of attack, over all rounds.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub attack: &'static str,
    pub tally: Tally,
    pub quiet: Waits,
    pub under_attack: Waits,
}

#[derive(Debug, Serialize)]
pub struct Found {
    pub rows: Vec<Row>,
    /// All kinds side by side.
    pub together: Row,
    pub peak_bytes: u64,
    pub limit_bytes: u64,
    pub max_ratio: f64,
    pub seconds: f64,
}

impl Found {
    pub fn requests(&self) -> u64 {
        self.rows.iter().chain([&self.together]).map(|row| row.tally.requests()).sum()
    }

    fn all(&self, pick: impl Fn(&Row) -> &Waits) -> Waits {
        self.rows.iter().chain([&self.together]).fold(Waits::default(), |all, row| all.plus(pick(row)))
    }

    pub fn quiet(&self) -> Waits {
        self.all(|row| &row.quiet)
    }

    pub fn under_attack(&self) -> Waits {
        self.all(|row| &row.under_attack)
    }

    /// What is beyond its bound.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let (quiet, attacked) = (self.quiet(), self.under_attack());
        if attacked.failed > 0 {
            faults.push(format!("{} honest calls failed under attack", attacked.failed));
        }
        let ratio = attacked.p99_ms() / quiet.p99_ms();
        // Nothing measured is nothing shown.
        if ratio.is_nan() || ratio > self.max_ratio {
            faults.push(format!("p99 is {ratio:.2} times the quiet one, and may be {}", self.max_ratio));
        }
        if self.peak_bytes > self.limit_bytes {
            let mib = |bytes: u64| bytes >> 20;
            faults.push(format!(
                "the coordinator took {} MiB, and may {}",
                mib(self.peak_bytes),
                mib(self.limit_bytes)
            ));
        }
        faults
    }
}

pub fn run(options: &Hostile) -> anyhow::Result<Ending> {
    // The attackers have threads of their own, so that the honest client waits for the coordinator and not for them.
    let attackers = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let honest = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let crew = Crew { runtime: attackers.handle().clone(), tasks: options.tasks };
    let found = honest.block_on(measure(options, &crew));
    attackers.shutdown_timeout(Duration::from_secs(1));
    let found = found?;
    figures::show(options.output, || print::text(&found), || print::json(&found));
    match found.faults()[..] {
        [] => Ok(Ending::Accepted),
        ref faults => bail!("{}", faults.join("; ")),
    }
}

async fn measure(options: &Hostile, crew: &Crew) -> anyhow::Result<Found> {
    let (storage, pki) = (Storage::start(Kind::Embedded, FILLING).await?, Pki::make()?);
    let token = Token::draw()?;
    let start = Start { storage: &storage, name: "coordinator", token: &token, tls: Some(&pki.of(Role::Coordinator)) };
    let coordinator = Coordinator::begin(start).await?;
    let admin = Credentials::load(&pki.of(Role::Admin))?;
    let mut honest = Honest::connect(&coordinator.url(), admin).await?;
    let foe = Foe {
        address: coordinator.address,
        viewer: Credentials::load(&pki.of(Role::Viewer))?,
        stranger: Credentials::load(&pki.stranger()?)?,
    };
    let begun = Instant::now();
    let mut rows: Vec<Row> = Attack::ALL.map(|attack| row(attack.name())).to_vec();
    let (plan, mut together) = (Plan::of(options), row("all side by side"));
    for round in 0..options.rounds {
        for (attack, row) in Attack::ALL.into_iter().zip(&mut rows) {
            eprintln!("round {} of {}: {}", round + 1, options.rounds, attack.name());
            beside(row, &mut honest, &plan, || crew.begin(&foe, vec![(attack, plan.quota(attack))])).await?;
        }
        eprintln!("round {} of {}: all side by side", round + 1, options.rounds);
        let all = Attack::ALL.map(|attack| (attack, plan.quota(attack))).to_vec();
        beside(&mut together, &mut honest, &plan, || crew.begin(&foe, all)).await?;
    }
    let peak_bytes = coordinator.peak_bytes()?;
    coordinator.stop().await;
    let (limit_bytes, seconds) = (options.memory_mib << 20, begun.elapsed().as_secs_f64());
    Ok(Found { rows, together, peak_bytes, limit_bytes, max_ratio: options.max_ratio, seconds })
}

fn row(attack: &'static str) -> Row {
    Row { attack, tally: Tally::default(), quiet: Waits::default(), under_attack: Waits::default() }
}

/// A quiet while, and one under attack.
async fn beside(
    row: &mut Row,
    honest: &mut Honest,
    plan: &Plan,
    begin: impl FnOnce() -> crew::Attacking,
) -> anyhow::Result<()> {
    row.quiet = row.quiet.plus(&honest.measure(plan.quiet, || false).await);
    let attacking = begin();
    row.under_attack = row.under_attack.plus(&honest.measure(plan.attacked, || attacking.is_over()).await);
    row.tally = row.tally.plus(&attacking.end().await);
    Ok(())
}

/// How long, and how much of what.
struct Plan {
    quiet: Duration,
    attacked: Duration,
    requests: u64,
    rounds: u32,
}

impl Plan {
    fn of(options: &Hostile) -> Self {
        // Each kind once a round, and then all at once.
        let windows = options.rounds * (Attack::ALL.len() as u32 + 1);
        let each = options.seconds / f64::from(windows);
        Self {
            quiet: Duration::from_secs_f64(each * QUIET_SHARE),
            attacked: Duration::from_secs_f64(each * (1.0 - QUIET_SHARE)),
            requests: options.requests,
            rounds: options.rounds,
        }
    }

    /// Of one window, so that those of all come to what was asked for: more of what costs the attacker little.
    fn quota(&self, attack: Attack) -> crew::Quota {
        let weights: u64 = Attack::ALL.iter().map(|attack| attack.weight()).sum();
        // Alone, and among all.
        let windows = 2 * u64::from(self.rounds);
        let requests = (self.requests * attack.weight()).div_ceil(weights * windows);
        crew::Quota { requests, within: self.attacked }
    }
}

#[cfg(test)]
mod tests;
