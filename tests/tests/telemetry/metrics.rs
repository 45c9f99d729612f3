//! A real audit on a real coordinator and real workers, scraped by a real Prometheus.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

use lethe_servers::{Prometheus, prometheus_program};

use crate::audit::DEADLINE;
use crate::drill::{Drill, Size};
use crate::http::get;
use crate::names::{as_older_format, file, in_backticks, mentioned, of_metrics, read};
use crate::service::{LOOK, Service};

const SHARDS: usize = 3;
const PAIRS: usize = 100;

fn check(exposition: &str) {
    let program = prometheus_program("promtool").expect("is there: `make test` fetches it");
    let mut command = Command::new(program);
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    child.stdin.take().expect("is piped").write_all(as_older_format(exposition).as_bytes()).expect("is read");
    let output = child.wait_with_output().expect("ends");
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(output.status.success(), "promtool check metrics: {said}\n{exposition}");
}

/// The value of the one sample that an expression gives, once it is as wanted.
fn wait_for(prometheus: &Prometheus, expression: &str, wanted: impl Fn(f64) -> bool) {
    let by = Instant::now() + DEADLINE;
    loop {
        let found = prometheus.query(expression);
        let value = found.first().and_then(|sample| sample["value"][1].as_str()?.parse().ok());
        if value.is_some_and(&wanted) {
            return;
        }
        assert!(Instant::now() < by, "{expression} gives {found:?}\n{}", prometheus.log());
        std::thread::sleep(LOOK);
    }
}

#[test]
fn a_prometheus_sees_a_real_audit_and_every_metric_that_alerts_and_dashboard_name_is_there() {
    let drill = Drill::plant(Size { shards: SHARDS, pairs_per_shard: PAIRS });
    let service = Service::start(&drill, None);
    let jobs = [("lethe-coordinator", vec![service.coordinator()]), ("lethe-worker", service.workers())];
    let prometheus = Prometheus::start(&jobs, &file("ops/alerts.yaml")).expect("starts: `make test` fetches it");
    wait_for(&prometheus, "sum(lethe_workers)", |workers| workers == 2.0);

    service.audit(&drill.spec(|spec| spec["unlearn"]["gang"]["steps"] = 4.into()));

    let samples = (SHARDS * PAIRS) as f64;
    for (expression, wanted) in [
        ("sum(lethe_leading)", 1.0),
        ("sum(up)", 3.0),
        ("sum(lethe_audits_ended_total{state=\"succeeded\"})", 1.0),
        ("sum(lethe_audits)", 0.0),
        ("sum(lethe_samples_total{phase=\"score\"})", samples),
        ("sum(lethe_shards_done_total{phase=\"score\"})", SHARDS as f64),
        ("sum(lethe_shards_quarantined_total)", 0.0),
        ("sum(lethe_worker_session_open)", 2.0),
    ] {
        wait_for(&prometheus, expression, |value| value == wanted);
    }
    // A worker that a busy machine keeps silent for too long is given up, and its tasks are done twice.
    for (expression, least) in [
        ("sum(lethe_worker_samples_total{program=\"score\"})", samples),
        ("sum(lethe_leases_total{program=\"score\"})", SHARDS as f64),
        ("sum(lethe_worker_tasks_total{program=\"score\",outcome=\"done\"})", SHARDS as f64),
        // Both ranks take every step.
        ("sum(lethe_worker_steps_total{program=\"unlearn\"})", 8.0),
        ("sum(lethe_worker_step_seconds_count{program=\"unlearn\"})", 8.0),
    ] {
        wait_for(&prometheus, expression, |value| value >= least);
    }
    for expression in [
        "min(lethe_worker_collective_seconds_total{operation=\"all_reduce\"})",
        "min(sum by (instance) (lethe_worker_device_busy_seconds_total))",
        "histogram_quantile(0.5, sum by (le) (lethe_store_commit_seconds_bucket))",
        "sum(lethe_phase_seconds_count{phase=\"unlearn\"})",
        "lethe_store_last_heard_timestamp_seconds",
        "min(process_cpu_seconds_total)",
        "min(process_resident_memory_bytes)",
    ] {
        wait_for(&prometheus, expression, |value| value > 0.0);
    }
    let rules = prometheus.ask("/api/v1/rules");
    let groups = rules["groups"].as_array().expect("has groups");
    let all = groups.iter().flat_map(|group| group["rules"].as_array().expect("has rules"));
    let health: Vec<(&str, &str)> =
        all.map(|rule| (rule["name"].as_str().unwrap_or(""), rule["health"].as_str().unwrap_or(""))).collect();
    assert!(health.len() > 10 && health.iter().all(|(_, health)| *health != "err"), "{health:?}");

    let of = |address| get(address, "/metrics").body;
    let (coordinator, worker) = (of(service.coordinator()), of(service.workers()[0]));
    check(&coordinator);
    check(&worker);
    // All that was ever scraped: what is counted of running phases goes with them.
    let names = prometheus.ask("/api/v1/label/__name__/values");
    let exported: BTreeSet<String> =
        names.as_array().expect("has names").iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
    for path in ["ops/alerts.yaml", "ops/dashboard.json"] {
        let missing: Vec<String> = mentioned(&read(path)).difference(&exported).cloned().collect();
        assert!(missing.is_empty(), "{path} names what nothing exports: {missing:?}");
    }
    let documented = in_backticks(&read("docs/telemetry.md"));
    let metrics: BTreeSet<String> = [&coordinator, &worker].into_iter().flat_map(|text| of_metrics(text)).collect();
    let undocumented: Vec<_> = metrics.difference(&documented).collect();
    assert!(undocumented.is_empty(), "docs/telemetry.md lacks {undocumented:?}");
    let gone: Vec<_> = documented.iter().filter(|name| !metrics.contains(*name) && !exported.contains(*name)).collect();
    assert!(gone.is_empty(), "docs/telemetry.md has what nothing exports: {gone:?}");
    nothing_of_the_audit_is_a_label(&coordinator);
    nothing_of_the_audit_is_a_label(&worker);
}

fn nothing_of_the_audit_is_a_label(text: &str) {
    for secret in ["drill", "w0", "w1", "victim"] {
        assert!(!text.contains(&format!("\"{secret}\"")), "{secret} is a label in\n{text}");
    }
}

#[test]
fn probes_tell_life_from_use() {
    let drill = Drill::plant(Size { shards: 1, pairs_per_shard: PAIRS });
    let service = Service::start(&drill, None);
    let coordinator = service.coordinator();
    let ready = || Some(get(coordinator, "/readyz")).filter(|answer| answer.status == 200);
    let by = Instant::now() + DEADLINE;
    let answer = loop {
        if let Some(answer) = ready() {
            break answer;
        }
        assert!(Instant::now() < by, "it does not get ready: {}", service.account());
        std::thread::sleep(LOOK);
    };
    assert!(answer.body.contains("leading in term 1; the store answers"), "{}", answer.body);
    assert_eq!(get(coordinator, "/healthz").body, "alive\n");
    let metrics = get(coordinator, "/metrics");
    assert!(metrics.head.contains("application/openmetrics-text; version=1.0.0"), "{}", metrics.head);
    assert_eq!(get(coordinator, "/").status, 404);
    for worker in service.workers() {
        assert_eq!(get(worker, "/healthz").status, 200);
    }
}
