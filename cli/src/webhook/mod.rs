//! Tells a receiver by HTTP how an audit ended: Standard Webhooks, so that any of its libraries can check it.
//!
//! It must never be told as taken before the receiver said so, nor follow a redirection, which could lead anywhere.

mod signature;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use lethe_common::backoff::Backoff;
use lethe_common::time::Millis;
use lethe_proto::v1::AuditView;
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::arguments::Webhook;
use crate::exit::bad_input;
use crate::show;
use signature::Secret;

const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// A receiver may be away for as long.
const PATIENCE: Duration = Duration::from_secs(5 * 60);
const BETWEEN_TRIES: Backoff = Backoff { first_ms: 500, cap_ms: 30_000 };

/// A receiver, and what it knows us by.
pub struct Receiver {
    url: Url,
    secret: Secret,
}

/// The receiver did not answer, or could not take it, for as long as we waited.
#[derive(Debug, thiserror::Error)]
#[error("the webhook did not take {id} in {tries} tries: {why}")]
pub struct Undelivered {
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

impl Receiver {
    /// The one that was asked for, if any.
    ///
    /// # Errors
    /// Bad input: a secret that is none.
    pub fn of(arguments: &Webhook) -> anyhow::Result<Option<Self>> {
        let (Some(url), Some(path)) = (&arguments.webhook, &arguments.webhook_secret) else { return Ok(None) };
        Ok(Some(Self { url: url.clone(), secret: secret(path)? }))
    }

    /// Tells how an audit ended. Its id is the audit's and the state's: who is told twice knows it.
    ///
    /// # Errors
    /// What the receiver said last, once it is out of patience or refuses for good.
    pub async fn tell(&self, view: &AuditView) -> anyhow::Result<()> {
        let client = Client::builder().redirect(Policy::none()).timeout(ANSWER_DEADLINE).build();
        let client = client.context("cannot make an HTTP client")?;
        let id = format!("{}.{}", view.audit, show::state(view.state()));
        let body = body(view).to_string();
        let mut jitter = ChaCha8Rng::seed_from_u64(u64::from(std::process::id()));
        let started = Instant::now();
        for attempt in 0_u32.. {
            let why = match self.post(&client, &id, &body).await {
                Ok(()) => return Ok(()),
                Err(Refusal::Fatal(why)) => bail!("the webhook refused {id}: {why}"),
                Err(Refusal::Retryable(why)) => why,
            };
            let pause = BETWEEN_TRIES.pause(attempt, 0.5 + jitter.random::<f64>() / 2.0);
            if started.elapsed() + pause > PATIENCE {
                return Err(Undelivered { id, tries: attempt + 1, why }.into());
            }
            sleep(pause).await;
        }
        Ok(())
    }

    async fn post(&self, client: &Client, id: &str, body: &str) -> Result<(), Refusal> {
        let timestamp_s = Millis::now().0 / 1_000;
        let request = client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp_s.to_string())
            .header("webhook-signature", self.secret.sign(id, timestamp_s, body))
            .body(body.to_owned());
        let answer = request.send().await.map_err(|error| Refusal::Retryable(innermost(&error)))?;
        judged(answer.status())
    }
}

fn judged(status: StatusCode) -> Result<(), Refusal> {
    match status {
        taken if taken.is_success() => Ok(()),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Err(Refusal::Retryable(status.to_string())),
        away if away.is_server_error() => Err(Refusal::Retryable(status.to_string())),
        _ => Err(Refusal::Fatal(status.to_string())),
    }
}

/// The outer ones name the address, which may hold a token.
fn innermost(error: &reqwest::Error) -> String {
    let source = std::iter::successors(std::error::Error::source(error), |error| error.source()).last();
    source.map_or_else(|| "no answer".to_owned(), ToString::to_string)
}

fn secret(path: &Path) -> anyhow::Result<Secret> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| bad_input(format!("cannot read the webhook's secret {}: {error}", path.display())))?;
    Secret::parse(text.trim()).ok_or_else(|| {
        bad_input(format!("{} holds no webhook's secret; expected whsec_ and 24 to 64 bytes in base64", path.display()))
    })
}

fn body(view: &AuditView) -> Value {
    let state = show::state(view.state());
    let time = i64::try_from(view.ended_ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_else(Utc::now);
    json!({
        "type": format!("audit.{state}"),
        "timestamp": time.to_rfc3339_opts(SecondsFormat::Secs, true),
        "data": {
            "audit": view.audit,
            "state": state,
            "reason": view.reason,
            "submitter": view.submitter,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let retried = |code| matches!(judged(StatusCode::from_u16(code).expect("is one")), Err(Refusal::Retryable(_)));
        assert!(judged(StatusCode::NO_CONTENT).is_ok());
        assert_eq!([408, 429, 500, 503].map(retried), [true; 4]);
        assert_eq!([301, 400, 401, 404, 410].map(retried), [false; 5]);
    }
}
