//! A client that asks what people ask, and how long it waited for each answer.
//!
//! It must never leave out an answer that did not come.

use std::time::Duration;

use anyhow::Context;
use lethe_proto::v1::audits_client::AuditsClient;
use lethe_proto::v1::{ClusterRequest, GetAuditRequest, ListAuditsRequest};
use lethe_tls::{Credentials, Target};
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tonic::Status;
use tonic::transport::Channel;

/// Between two calls, as far as the answers allow.
const PACE: Duration = Duration::from_millis(10);
/// What did not come by then counts as failed, and as so long a wait.
const DEADLINE: Duration = Duration::from_secs(10);
/// Failed calls that are told one by one.
const MOST_TOLD: usize = 5;
/// One call in so many comes over a new connection, as a command's does.
const CALLS_PER_CONNECTION: u64 = 20;

/// The waits for some calls.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Waits {
    #[serde(skip)]
    ms: Vec<f64>,
    pub failed: u64,
    /// Of the first that failed, each with which call it was.
    pub why: Vec<String>,
}

impl Waits {
    pub fn plus(&self, other: &Self) -> Self {
        let why = self.why.iter().chain(&other.why).take(MOST_TOLD).cloned().collect();
        Self { ms: [&self.ms[..], &other.ms[..]].concat(), failed: self.failed + other.failed, why }
    }

    pub fn calls(&self) -> usize {
        self.ms.len()
    }

    /// Not a number where nothing was measured.
    pub fn p99_ms(&self) -> f64 {
        self.quantile(0.99)
    }

    pub fn median_ms(&self) -> f64 {
        self.quantile(0.5)
    }

    fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.ms.clone();
        sorted.sort_by(f64::total_cmp);
        let at = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(at.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    fn add(&mut self, wait: Duration, answer: Result<(), String>) {
        let ms = 1e3 * wait.as_secs_f64();
        self.ms.push(ms);
        if let Err(why) = answer {
            self.failed += 1;
            if self.why.len() < MOST_TOLD {
                self.why.push(format!("call {} of its window, after {ms:.0} ms: {why}", self.ms.len()));
            }
        }
    }

    #[cfg(test)]
    pub fn of(ms: impl IntoIterator<Item = f64>, failed: u64) -> Self {
        Self { ms: ms.into_iter().collect(), failed, why: Vec::new() }
    }
}

pub struct Honest {
    target: Target,
    admin: Credentials,
    client: AuditsClient<Channel>,
    asked: u64,
}

impl Honest {
    /// Waits until the coordinator leads and answers.
    pub async fn connect(url: &str, admin: Credentials) -> anyhow::Result<Self> {
        let target = Target::new(url, Some(&admin))?;
        let client = AuditsClient::new(target.connect(Some(&admin)).await.context("cannot reach the coordinator")?);
        let mut honest = Self { target, admin, client, asked: 0 };
        let by = Instant::now() + Duration::from_secs(30);
        let mut looks = interval(Duration::from_millis(50));
        loop {
            looks.tick().await;
            match honest.client.cluster(ClusterRequest {}).await {
                Ok(_) => return Ok(honest),
                Err(status) if Instant::now() > by => return Err(status).context("the coordinator does not lead"),
                Err(_) => {}
            }
        }
    }

    /// Asks for so long, or until it is over.
    pub async fn measure(&mut self, window: Duration, is_over: impl Fn() -> bool) -> Waits {
        let (mut waits, ends) = (Waits::default(), Instant::now() + window);
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while Instant::now() < ends && !is_over() {
            pace.tick().await;
            let begun = Instant::now();
            let answered = timeout(DEADLINE, self.ask()).await;
            waits.add(
                begun.elapsed(),
                match answered {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(status)) => Err(format!("{}: {}", status.code(), status.message())),
                    Err(_elapsed) => Err(format!("no answer within {} s", DEADLINE.as_secs())),
                },
            );
        }
        waits
    }

    async fn ask(&mut self) -> Result<(), Status> {
        self.asked += 1;
        if self.asked.is_multiple_of(CALLS_PER_CONNECTION) {
            let channel = self.target.connect(Some(&self.admin)).await;
            self.client = AuditsClient::new(channel.map_err(|e| Status::unavailable(e.to_string()))?);
        }
        match self.asked % 3 {
            0 => self.client.list_audits(ListAuditsRequest {}).await.map(drop),
            1 => self.client.get_audit(GetAuditRequest { audit: "bench-00".to_owned() }).await.map(drop),
            _ => self.client.cluster(ClusterRequest {}).await.map(drop),
        }
    }
}
