//! An Event (events.k8s.io/v1) of the Job that runs us, so that `kubectl describe` and whatever gathers events show how its audit ended.
//!
//! One resource is created, and none is read: a client of the whole API would be a hundred crates for this.
//! It must never be given more rights than to create events in its own namespace, nor trust any authority but the cluster's.

use std::path::{Path, PathBuf};

use anyhow::Context;
use chrono::SecondsFormat;
use lethe_evidence::artifacts::Verdict;
use lethe_proto::v1::{AuditView, RunState};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Certificate, Client, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, client, deliver, ended, id, innermost, refusal};
use crate::arguments::{Job, Tell};
use crate::exit::bad_input;
use crate::outcome::Outcome;
use crate::show;

/// The API takes notes below 1 KiB.
const MAX_NOTE_BYTES: usize = 1_000;
/// Of an answer that refuses, what is read.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// Where events are created, and by whom.
pub struct Events {
    job: Job,
    namespace: String,
    url: String,
    authority: Vec<Certificate>,
    /// The kubelet writes it anew within the hour: it is read for every try.
    token: PathBuf,
}

impl Events {
    /// Where they were asked for: the cluster and the account that this pod was given.
    pub fn of(arguments: &Tell) -> anyhow::Result<Option<Self>> {
        let Some(job) = arguments.kubernetes_event.clone() else { return Ok(None) };
        let host = variable("KUBERNETES_SERVICE_HOST")?;
        let port = variable("KUBERNETES_SERVICE_PORT")?;
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let folder = &arguments.kubernetes_account;
        let namespace = read(&folder.join("namespace"))?.trim().to_owned();
        let path = folder.join("ca.crt");
        let authority = Certificate::from_pem_bundle(read(&path)?.as_bytes()).unwrap_or_default();
        if authority.is_empty() {
            return Err(bad_input(format!("{} holds no certificates", path.display())));
        }
        let token = folder.join("token");
        read(&token)?;
        let url = format!("https://{host}:{port}/apis/events.k8s.io/v1/namespaces/{namespace}/events");
        Ok(Some(Self { job, namespace, url, authority, token }))
    }

    pub async fn tell(&self, view: &AuditView) -> anyhow::Result<()> {
        let client = client().no_proxy().tls_certs_only(self.authority.clone()).build();
        let client = client.context("cannot make a client of Kubernetes")?;
        let (id, event) = (id(view), self.event(view).to_string());
        deliver("Kubernetes", &id, async || self.post(&client, &event).await).await
    }

    async fn post(&self, client: &Client, event: &str) -> Result<(), Refusal> {
        let token = read(&self.token).map_err(|error| Refusal::Retryable(error.to_string()))?;
        let request = client.post(&self.url).bearer_auth(token.trim()).header(CONTENT_TYPE, "application/json");
        let answer = request.body(event.to_owned()).send().await;
        let answer = answer.map_err(|error| Refusal::Retryable(innermost(&error)))?;
        match answer.status() {
            taken if taken.is_success() => Ok(()),
            status => {
                let said = Said::read(answer).await;
                match (status, said.reason.as_str()) {
                    // Told before, by a pod that was lost since.
                    (StatusCode::CONFLICT, "AlreadyExists") => Ok(()),
                    (StatusCode::CONFLICT, _) => Err(Refusal::Retryable(said.told(status))),
                    _ => Err(refusal(status, said.told(status))),
                }
            }
        }
    }

    fn event(&self, view: &AuditView) -> Value {
        let (reason, kind) = reason(view);
        // One a Job and end; an audit's id may hold what no name there may.
        let name = blake3::hash(format!("{}.{}", id(view), self.job.uid).as_bytes()).to_hex();
        json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": format!("lethe-{}", &name[..16]), "namespace": self.namespace},
            "eventTime": ended(view).to_rfc3339_opts(SecondsFormat::Micros, true),
            "type": kind,
            "reason": reason,
            "action": "Audit",
            "note": note(view),
            "regarding": {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "namespace": self.namespace,
                "name": self.job.name,
                "uid": self.job.uid,
            },
            "reportingController": "lethe",
            "reportingInstance": std::env::var("HOSTNAME").unwrap_or_else(|_| "lethe".to_owned()),
        })
    }
}

/// Why it is told, and whether somebody should look.
fn reason(view: &AuditView) -> (&'static str, &'static str) {
    match (view.state(), Outcome::of(view)) {
        (RunState::Succeeded, Outcome::Without) => ("AuditSucceeded", "Normal"),
        (RunState::Succeeded, Outcome::Verdict(Verdict::NothingFound)) => ("NothingFound", "Normal"),
        (RunState::Succeeded, Outcome::Verdict(Verdict::Removed)) => ("BackdoorRemoved", "Warning"),
        (RunState::Succeeded, Outcome::Verdict(Verdict::Rejected)) => ("ResultRejected", "Warning"),
        (RunState::Succeeded, Outcome::Unknown) => ("VerdictUnknown", "Warning"),
        (RunState::Cancelled, _) => ("AuditCancelled", "Normal"),
        (RunState::Failed, _) => ("AuditFailed", "Warning"),
        (RunState::Running | RunState::Paused | RunState::Pending | RunState::Unspecified, _) => {
            ("AuditChanged", "Normal")
        }
    }
}

fn note(view: &AuditView) -> String {
    let told = show::waits(view).unwrap_or_default();
    let mut note = format!("{} {}: {told}", view.audit, show::state(view.state()));
    note.truncate(note.floor_char_boundary(MAX_NOTE_BYTES));
    note.trim_end_matches([' ', ':']).to_owned()
}

/// What the API answers where it does not take something, as far as it says so.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    reason: String,
    message: String,
}

impl Said {
    async fn read(mut answer: Response) -> Self {
        let mut bytes = Vec::new();
        while let Ok(Some(piece)) = answer.chunk().await {
            bytes.extend_from_slice(&piece);
            if bytes.len() > MAX_ANSWER_BYTES {
                break;
            }
        }
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    fn told(&self, status: StatusCode) -> String {
        if self.message.is_empty() { status.to_string() } else { format!("{status}: {}", show::plain(&self.message)) }
    }
}

fn variable(name: &str) -> anyhow::Result<String> {
    let missing = |_| bad_input(format!("{name} is not set: --kubernetes-event is for pods, where Kubernetes sets it"));
    std::env::var(name).map_err(missing)
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path)
        .map_err(|error| bad_input(format!("cannot read {} of the pod's account: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use lethe_proto::v1::Conclusion;

    use super::*;

    fn view(state: RunState, verdict: Option<&str>, headline: &str) -> AuditView {
        let conclusion =
            verdict.map(|verdict| Conclusion { verdict: verdict.to_owned(), headline: headline.to_owned() });
        AuditView { audit: "march_1".to_owned(), state: state.into(), conclusion, ..AuditView::default() }
    }

    #[test]
    fn who_should_look_is_warned() {
        let told = |state, verdict| reason(&view(state, verdict, ""));
        assert_eq!(told(RunState::Succeeded, Some("nothing-found")), ("NothingFound", "Normal"));
        assert_eq!(told(RunState::Succeeded, Some("removed")), ("BackdoorRemoved", "Warning"));
        assert_eq!(told(RunState::Succeeded, Some("rejected")), ("ResultRejected", "Warning"));
        assert_eq!(told(RunState::Succeeded, Some("of-next-year")), ("VerdictUnknown", "Warning"));
        assert_eq!(told(RunState::Succeeded, None), ("AuditSucceeded", "Normal"));
        assert_eq!(told(RunState::Failed, Some("removed")), ("AuditFailed", "Warning"));
        assert_eq!(told(RunState::Cancelled, None), ("AuditCancelled", "Normal"));
    }

    #[test]
    fn notes_fit_and_end_well() {
        assert_eq!(note(&view(RunState::Succeeded, None, "")), "march_1 succeeded");
        let found = view(RunState::Succeeded, Some("removed"), "Backdoor found and removed");
        assert_eq!(note(&found), "march_1 succeeded: Backdoor found and removed");
        let long = note(&view(RunState::Succeeded, Some("removed"), &"ü".repeat(2_000)));
        assert!((MAX_NOTE_BYTES - 2..=MAX_NOTE_BYTES).contains(&long.len()), "{}", long.len());
    }
}
