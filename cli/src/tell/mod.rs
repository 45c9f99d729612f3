//! Tells others how an audit ended: a receiver of webhooks, and Kubernetes.
//!
//! It must never be told as taken before the receiver said so, nor follow a redirection, which could lead anywhere.

mod kubernetes;
mod webhook;

use std::time::Duration;

use anyhow::bail;
use chrono::{DateTime, Utc};
use lethe_common::backoff::Backoff;
use lethe_proto::v1::AuditView;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, StatusCode};
use tokio::time::{Instant, sleep};

use crate::arguments::Tell;
use crate::show;
use kubernetes::Events;
use webhook::Webhook;

const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// A receiver may be away for as long.
const PATIENCE: Duration = Duration::from_secs(5 * 60);
const BETWEEN_TRIES: Backoff = Backoff { first_ms: 500, cap_ms: 30_000 };

/// Who wants to know.
pub struct Receivers {
    webhook: Option<Webhook>,
    events: Option<Events>,
}

/// A receiver did not answer, or could not take it, for as long as we waited.
#[derive(Debug, thiserror::Error)]
#[error("{who} did not take {id} in {tries} tries: {why}")]
pub struct Undelivered {
    who: &'static str,
    id: String,
    tries: u32,
    why: String,
}

/// Why a try was not taken.
enum Refusal {
    /// It may be taken later.
    Retryable(String),
    Fatal(String),
}

impl Receivers {
    /// Those that were asked for.
    ///
    /// # Errors
    /// Bad input: a secret that is none, an account that cannot be read.
    pub fn of(arguments: &Tell) -> anyhow::Result<Self> {
        Ok(Self { webhook: Webhook::of(arguments)?, events: Events::of(arguments)? })
    }

    pub fn are_none(&self) -> bool {
        self.webhook.is_none() && self.events.is_none()
    }

    /// Tells all of them how an audit ended, at once. An Event that is not taken is a warning and no more: Kubernetes keeps them for an hour
    /// at best, and none is worth a Job that fails.
    ///
    /// # Errors
    /// What the webhook's receiver said last, once it refuses for good or we are out of patience.
    pub async fn tell(&self, view: &AuditView) -> anyhow::Result<()> {
        let webhook = async {
            match &self.webhook {
                Some(webhook) => webhook.tell(view).await,
                None => Ok(()),
            }
        };
        let events = async {
            match &self.events {
                Some(events) => events.tell(view).await,
                None => Ok(()),
            }
        };
        let (webhook, events) = tokio::join!(webhook, events);
        if let Err(error) = events {
            eprintln!("warning: {error:#}");
        }
        webhook
    }
}

/// Tries until it is taken, refused for good, or nobody has patience any more.
async fn deliver(
    who: &'static str,
    id: &str,
    mut post: impl AsyncFnMut() -> Result<(), Refusal>,
) -> anyhow::Result<()> {
    let mut jitter = ChaCha8Rng::seed_from_u64(u64::from(std::process::id()));
    let started = Instant::now();
    for attempt in 0_u32.. {
        let why = match post().await {
            Ok(()) => return Ok(()),
            Err(Refusal::Fatal(why)) => bail!("{who} refused {id}: {why}"),
            Err(Refusal::Retryable(why)) => why,
        };
        let pause = BETWEEN_TRIES.pause(attempt, 0.5 + jitter.random::<f64>() / 2.0);
        if started.elapsed() + pause > PATIENCE {
            return Err(Undelivered { who, id: id.to_owned(), tries: attempt + 1, why }.into());
        }
        sleep(pause).await;
    }
    Ok(())
}

/// A client of a receiver.
fn client() -> ClientBuilder {
    reqwest::Client::builder().redirect(Policy::none()).timeout(ANSWER_DEADLINE)
}

/// Whether it may be taken another time; `why` is what people read.
fn refusal(status: StatusCode, why: String) -> Refusal {
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Refusal::Retryable(why),
        away if away.is_server_error() => Refusal::Retryable(why),
        _ => Refusal::Fatal(why),
    }
}

/// The outer ones name the address, which may hold a token.
fn innermost(error: &reqwest::Error) -> String {
    let source = std::iter::successors(std::error::Error::source(error), |error| error.source()).last();
    source.map_or_else(|| "no answer".to_owned(), ToString::to_string)
}

/// The audit and its state: who is told twice knows it by this.
fn id(view: &AuditView) -> String {
    format!("{}.{}", view.audit, show::state(view.state()))
}

fn ended(view: &AuditView) -> DateTime<Utc> {
    i64::try_from(view.ended_ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_else(Utc::now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let retried = |code| {
            let status = StatusCode::from_u16(code).expect("is one");
            matches!(refusal(status, String::new()), Refusal::Retryable(_))
        };
        assert_eq!([408, 429, 500, 503].map(retried), [true; 4]);
        assert_eq!([301, 400, 401, 404, 410].map(retried), [false; 5]);
    }
}
