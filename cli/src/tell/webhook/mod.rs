//! Standard Webhooks, so that any of its libraries can check what we send.
//!
//! It must never show the address, which may hold a token.

mod signature;

use std::path::Path;

use anyhow::Context;
use chrono::SecondsFormat;
use lethe_common::time::Millis;
use lethe_proto::v1::AuditView;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use serde_json::{Value, json};

use super::{Refusal, client, deliver, ended, id, innermost, refusal};
use crate::arguments::Tell;
use crate::exit::bad_input;
use crate::show;
use signature::Secret;

/// A receiver, and what it knows us by.
pub struct Webhook {
    url: Url,
    secret: Secret,
}

impl Webhook {
    /// The one that was asked for, if any.
    pub fn of(arguments: &Tell) -> anyhow::Result<Option<Self>> {
        let (Some(url), Some(path)) = (&arguments.webhook, &arguments.webhook_secret) else { return Ok(None) };
        Ok(Some(Self { url: url.clone(), secret: secret(path)? }))
    }

    pub async fn tell(&self, view: &AuditView) -> anyhow::Result<()> {
        let client = client().build().context("cannot make an HTTP client")?;
        let (id, body) = (id(view), body(view).to_string());
        deliver("the webhook", &id, async || self.post(&client, &id, &body).await).await
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
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(refusal(status, status.to_string())) }
    }
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
    json!({
        "type": format!("audit.{state}"),
        "timestamp": ended(view).to_rfc3339_opts(SecondsFormat::Secs, true),
        "data": {
            "audit": view.audit,
            "state": state,
            "reason": view.reason,
            "verdict": show::json::verdict(view),
            "headline": show::json::headline(view),
            "submitter": view.submitter,
        },
    })
}
