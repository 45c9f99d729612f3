//! What a benchmark found, for people and for programs.
//!
//! It must never print a ratio without what was divided by what.

use serde_json::{Value, json};

use super::control_plane::Results;
use super::figures::{median, setting};
use super::load::Row;
use super::ray;
use crate::show::count;

const DEFINITIONS: [(&str, &str); 6] = [
    (
        "lease_ops_per_s",
        "shards granted plus shards committed durably, a second, embedded store, sustained: the highest rate by the \
         clock (open loop, Poisson) that is kept up with and whose 99th percentile of a lease's wait is at most 50 ms",
    ),
    (
        "saturated_lease_ops_per_s",
        "the same, as fast as it goes (closed loop): each request carries what became ready while the last one waited",
    ),
    (
        "lease_p99_ms",
        "from when a worker's slot should have become free, by a clock fixed beforehand (open loop, 70 % of lease_ops_per_s), to the arrival of the next lease: the durable commit and the grant together",
    ),
    ("durable_commits_per_s", "shards committed a second on a 3-member etcd on this machine"),
    ("coordinator_peak_bytes", "VmHWM, the largest of all runs on the embedded store"),
    (
        "ratio_to_ray",
        "shards granted, fenced and committed durably a second (each counted once), divided by no-op tasks a second of \
         Ray's best mode in which it chooses the worker; ratio_to_ray_actor_calls divides by calls of actors that the \
         driver chose. Ray records a completion in memory",
    ),
];

/// The figures that the goals are about.
struct Headline {
    lease_ops_per_s: Option<f64>,
    saturated_lease_ops_per_s: Option<f64>,
    shards_per_s: Option<f64>,
    lease_p99_ms: Option<f64>,
    durable_commits_per_s: Option<f64>,
    coordinator_peak_bytes: Option<u64>,
    ratio_to_ray: Option<f64>,
    ratio_to_ray_actor_calls: Option<f64>,
}

impl Headline {
    fn of(results: &Results) -> Self {
        let shards_per_s = median(results.main.iter().map(|row| row.shards_per_s));
        let to = |rate: fn(&Value) -> Option<f64>| Some(shards_per_s? / median(results.ray.iter().filter_map(rate))?);
        let embedded = results.main.iter().chain(&results.scaling);
        Self {
            lease_ops_per_s: results.sustained.map(|shards| 2.0 * shards),
            saturated_lease_ops_per_s: median(results.main.iter().map(|row| row.lease_ops_per_s)),
            shards_per_s,
            lease_p99_ms: results.at_share.as_ref().map(|row| row.found.lease_wait.p99_ms),
            durable_commits_per_s: results.etcd.as_ref().map(|row| row.durable_commits_per_s),
            coordinator_peak_bytes: embedded.map(|row| row.coordinator_peak_bytes).max(),
            ratio_to_ray: to(ray::best_scheduled),
            ratio_to_ray_actor_calls: to(ray::actor_calls),
        }
    }
}

pub fn json(results: &Results) -> Value {
    let headline = Headline::of(results);
    json!({
        "lease_ops_per_s": headline.lease_ops_per_s,
        "saturated_lease_ops_per_s": headline.saturated_lease_ops_per_s,
        "saturated_shards_per_s": headline.shards_per_s,
        "lease_p99_ms": headline.lease_p99_ms,
        "durable_commits_per_s": headline.durable_commits_per_s,
        "coordinator_peak_bytes": headline.coordinator_peak_bytes,
        "takeover_s": results.takeover_s,
        "restart_ready_s": results.restart_ready_s,
        "restart_shards": results.restart_shards,
        "ratio_to_ray": headline.ratio_to_ray,
        "ratio_to_ray_actor_calls": headline.ratio_to_ray_actor_calls,
        "lease_p99_at_5000_ops_ms": results.at_goal.as_ref().map(|row| row.found.lease_wait.p99_ms),
        "main": results.main,
        "scaling": results.scaling,
        "etcd": results.etcd,
        "open_loop": results.by_the_clock().collect::<Vec<_>>(),
        "ray": results.ray,
        "skipped": results.skipped,
        "setting": setting(),
        "definitions": DEFINITIONS.iter().copied().collect::<std::collections::BTreeMap<_, _>>(),
        "not_measured": "commits name no blobs, so the coordinator checks none; real workers have a connection each",
    })
}

pub fn text(results: &Results) -> String {
    let headline = Headline::of(results);
    let figure = |name: &str, value: Option<f64>, unit: &str| {
        let value = value.map_or_else(|| "not measured".to_owned(), |value| format!("{value:.1} {unit}"));
        format!("{name:<32}{value}\n")
    };
    let lines = [
        figure("lease operations, sustained", headline.lease_ops_per_s, "/s"),
        figure("lease operations, saturated", headline.saturated_lease_ops_per_s, "/s"),
        figure("lease p99 at 70 % of sustained", headline.lease_p99_ms, "ms"),
        figure("durable commits on etcd", headline.durable_commits_per_s, "/s"),
        figure("coordinator's peak memory", headline.coordinator_peak_bytes.map(|bytes| bytes as f64 / 1e6), "MB"),
        figure("takeover", results.takeover_s, "s"),
        figure("restart", results.restart_ready_s, "s"),
        figure("against Ray's tasks", headline.ratio_to_ray, "x"),
        figure("against Ray's actor calls", headline.ratio_to_ray_actor_calls, "x"),
    ];
    let rows = results.main.iter().chain(&results.scaling).chain(&results.etcd).chain(results.by_the_clock());
    let rows: String = rows.map(|row| format!("  {}\n", self::row(row))).collect();
    let skipped: String = results.skipped.iter().map(|(what, why)| format!("not measured: {what}: {why}\n")).collect();
    let definitions: String = DEFINITIONS.iter().map(|(name, what)| format!("  {name}: {what}\n")).collect();
    format!("{}\n{rows}\n{skipped}\n{definitions}", lines.concat())
}

/// One measurement on one line.
pub fn row(row: &Row) -> String {
    let waits = |what: &str, waits: &super::swarm::Waits| {
        format!("{what} p50 {:.1} p99 {:.1} max {:.1} ms", waits.p50_ms, waits.p99_ms, waits.max_ms)
    };
    format!(
        "{} workers ({} connections), {} shards, {} audit(s), {}: {} ops/s, {} requests/s of {:.1} commits, {:.0} us of \
         CPU a shard, {:.0} MB, {}, {}, {} stale, {} refused, {} errors",
        row.workers,
        row.found.connections,
        count(row.shards.into()),
        row.audits,
        row.store,
        count(row.lease_ops_per_s as u64),
        count(row.requests_per_s as u64),
        row.commits_per_request,
        row.coordinator_cpu_us_per_shard,
        row.coordinator_peak_bytes as f64 / 1e6,
        waits("lease", &row.found.lease_wait),
        waits("commit", &row.found.commit_wait),
        row.found.stale,
        row.found.refused,
        row.found.errors,
    )
}
