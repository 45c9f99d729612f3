//! How pods begin, are asked after, and end; and when schedules fire.

use serde_json::{Value, json};

use crate::documents::{self, Documents, list, text};
use crate::pods::{Pod, command_line, pods};

/// What there must be beside the drain before SIGKILL, for the last words.
const MARGIN_S: u64 = 5;
/// The longest that a schedule may be late and its audit still begin: a day missed is one catch-up.
const DAY_S: u64 = 24 * 60 * 60;

pub fn check(documents: &Documents) -> Vec<String> {
    let mut problems = Vec::new();
    for pod in &pods(documents) {
        problems.extend(grace(documents, pod));
        problems.extend(probes(pod));
    }
    problems.extend(documents.of_kind("PodDisruptionBudget").filter_map(budget));
    problems.extend(documents.of_kind("CronJob").flat_map(schedule));
    problems
}

/// The kubelet's patience outlasts the worker's own.
fn grace(documents: &Documents, pod: &Pod<'_>) -> Option<String> {
    let grace_s = pod.spec.pointer("/terminationGracePeriodSeconds").and_then(Value::as_u64);
    let Some(grace_s) = grace_s else { return Some(format!("{}: it has no terminationGracePeriodSeconds", pod.owner)) };
    let drain_ms = pod.containers().filter_map(|container| {
        let (_, words) = command_line(documents, pod, container).ok()?;
        words.iter().find_map(|word| word.strip_prefix("--grace-ms=")?.parse::<u64>().ok())
    });
    let drain_ms = drain_ms.max().unwrap_or_default();
    (grace_s * 1_000 < drain_ms + MARGIN_S * 1_000)
        .then(|| format!("{}: killed after {grace_s} s, within its drain of {drain_ms} ms and a margin", pod.owner))
}

/// Liveness never depends on etcd, nor on who leads: only `/healthz` does not.
fn probes(pod: &Pod<'_>) -> Vec<String> {
    let component = text(pod.labels, "/app.kubernetes.io~1component");
    if component == "client" {
        return Vec::new();
    }
    let mut problems = Vec::new();
    // Those that run before them end, and have no probes.
    for container in list(pod.spec, "/containers") {
        for probe in ["livenessProbe", "readinessProbe"] {
            if container.get(probe).is_none() {
                problems.push(format!("{}: it has no {probe}", pod.owner));
            }
        }
        for probe in ["livenessProbe", "startupProbe"] {
            let path = text(container, &format!("/{probe}/httpGet/path"));
            if !["", "/healthz"].contains(&path) {
                problems.push(format!("{}: its {probe} asks {path}, which depends on others", pod.owner));
            }
            if container.pointer(&format!("/{probe}/exec")).is_some() {
                problems.push(format!("{}: its {probe} runs a program in a container that has none", pod.owner));
            }
        }
    }
    problems
}

/// A budget of none keeps nodes from being drained for ever.
fn budget(budget: &Value) -> Option<String> {
    let most = budget.pointer("/spec/maxUnavailable");
    let none = most.is_none() || most == Some(&json!(0)) || most == Some(&json!("0%"));
    none.then(|| format!("{}: no pod may ever be evicted", documents::name(budget)))
}

fn schedule(job: &Value) -> Vec<String> {
    let name = documents::name(job);
    let mut problems = Vec::new();
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            problems.push(format!("{name}: {what}"));
        }
    };
    expect(text(job, "/spec/concurrencyPolicy") == "Forbid", "two of its audits may run at once");
    expect(!text(job, "/spec/timeZone").is_empty(), "it has no time zone: it fires by the controller's");
    let deadline_s = job.pointer("/spec/startingDeadlineSeconds").and_then(Value::as_u64).unwrap_or_default();
    expect(deadline_s > DAY_S, "a day missed has no catch-up: its start deadline is not above a day");
    for history in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        expect(job.pointer(&format!("/spec/{history}")).is_some(), &format!("it has no {history}"));
    }
    expect(text(job, "/spec/schedule").split_whitespace().count() == 5, "its schedule has not five fields");
    let words = job.pointer("/spec/jobTemplate/spec/template/spec/containers/0/args").map(Value::to_string);
    let words = words.unwrap_or_default();
    expect(
        words.contains("--schedule=") && words.contains("--scheduled-at=$("),
        "its audits are not named by schedule and time: fired twice they would be two",
    );
    problems
}
