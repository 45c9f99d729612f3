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
use serde_json::{Value, json};

use super::{Refusal, client, deliver, ended, id, innermost, refusal};
use crate::arguments::{Job, Tell};
use crate::exit::bad_input;
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
        let authority = Certificate::from_pem_bundle(read(&path)?.as_bytes())
            .map_err(|error| bad_input(format!("{} holds no certificates: {error}", path.display())))?;
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
            // Told before, by a pod that was lost since.
            StatusCode::CONFLICT => Ok(()),
            status => Err(refusal(status, said(status, answer).await)),
        }
    }

    fn event(&self, view: &AuditView) -> Value {
        let (reason, kind) = reason(view);
        // An audit's id may hold what no name there may.
        let name = blake3::hash(id(view).as_bytes()).to_hex();
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
    let verdict = view.conclusion.as_ref().map(|conclusion| Verdict::parse(&conclusion.verdict));
    match (view.state(), verdict) {
        (RunState::Succeeded, None) => ("AuditSucceeded", "Normal"),
        (RunState::Succeeded, Some(Some(Verdict::NothingFound))) => ("NothingFound", "Normal"),
        (RunState::Succeeded, Some(Some(Verdict::Removed))) => ("BackdoorRemoved", "Warning"),
        (RunState::Succeeded, Some(Some(Verdict::Rejected) | None)) => ("ResultRejected", "Warning"),
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

/// The API's own words, where there are any.
async fn said(status: StatusCode, mut answer: Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(piece)) = answer.chunk().await {
        bytes.extend_from_slice(&piece);
        if bytes.len() > MAX_ANSWER_BYTES {
            break;
        }
    }
    let message = serde_json::from_slice::<Value>(&bytes).ok();
    let message = message.as_ref().and_then(|answer| answer["message"].as_str());
    message.map_or_else(|| status.to_string(), |message| format!("{status}: {}", show::plain(message)))
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
        assert_eq!(told(RunState::Succeeded, Some("of-next-year")), ("ResultRejected", "Warning"));
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
