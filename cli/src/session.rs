//! One run of one spec: start a cluster, submit, follow, stop. The same run again goes on where it stopped.
//!
//! It must never leave the cluster up, whatever ends the run.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use lethe_common::spec::Spec;
use lethe_proto::v1::{AuditView, RunState, SubmitRequest, WatchAuditRequest};
use tonic::{Code, Status};

use crate::arguments::Devices;
use crate::cluster::{Client, Cluster, ClusterPlan};
use crate::exit::bad_input;
use crate::follow::{Display, follow};
use crate::interrupt::Interrupt;

/// After the coordinator stops answering, how long its own end may take to explain it.
const POST_MORTEM: Duration = Duration::from_secs(2);

/// What a run came to, where nothing failed.
#[derive(Debug)]
pub enum Outcome {
    Done(Box<AuditView>),
    Interrupted,
}

/// Runs a validated spec on a cluster of its own, with its results in `result`.
///
/// # Errors
/// A spec that differs from what the folder was begun with (bad input); a failed audit; a cluster that broke.
pub fn run(spec: &Spec, result: &Path, devices: Devices) -> anyhow::Result<Outcome> {
    let result = std::path::absolute(result)?;
    std::fs::create_dir_all(&result).with_context(|| format!("cannot make the folder {}", result.display()))?;
    let (workers, heartbeat_ms) = (spec.workers.count, spec.workers.heartbeat_ms);
    let plan = ClusterPlan { result, workers, devices, heartbeat_ms };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run_on_cluster(spec, &plan))
}

async fn run_on_cluster(spec: &Spec, plan: &ClusterPlan) -> anyhow::Result<Outcome> {
    let mut interrupt = Interrupt::listen()?;
    let mut cluster = tokio::select! {
        started = Cluster::start(plan) => started?,
        () = interrupt.received() => return Ok(Outcome::Interrupted),
    };
    let mut display = Display::choose();
    let outcome = tokio::select! {
        ended = drive(cluster.client().await?, spec, &mut display) => ended.map(|view| Outcome::Done(Box::new(view))),
        broken = cluster.broken() => Err(broken),
        () = interrupt.received() => Ok(Outcome::Interrupted),
    };
    display.finish();
    let outcome = explain(outcome, &mut cluster).await;
    cluster.stop().await;
    match outcome? {
        Outcome::Done(view) => judge(*view, plan),
        Outcome::Interrupted => Ok(Outcome::Interrupted),
    }
}

async fn drive(mut client: Client, spec: &Spec, display: &mut Display) -> anyhow::Result<AuditView> {
    let audit = spec.audit.id.to_string();
    let spec_json = serde_json::to_vec(spec).context("cannot write the spec as JSON")?;
    client.submit(SubmitRequest { audit: audit.clone(), spec_json, ..Default::default() }).await.map_err(refused)?;
    let views = client.watch_audit(WatchAuditRequest { audit }).await.map_err(wire)?;
    follow(views.into_inner(), display).await
}

/// A submit that the coordinator will not take, by what the user can do.
fn refused(status: Status) -> anyhow::Error {
    match status.code() {
        Code::AlreadyExists | Code::FailedPrecondition => bad_input(format!(
            "{}; to keep the earlier work use another --out, to throw it away use --fresh",
            status.message()
        )),
        Code::InvalidArgument => bad_input(status.message()),
        _ => wire(status),
    }
}

fn wire(status: Status) -> anyhow::Error {
    anyhow!("the coordinator answered {}: {}", status.code(), status.message())
}

/// When the coordinator dies, its stream breaks first; its own end says more.
async fn explain(outcome: anyhow::Result<Outcome>, cluster: &mut Cluster) -> anyhow::Result<Outcome> {
    match outcome {
        Err(error) => match tokio::time::timeout(POST_MORTEM, cluster.broken()).await {
            Ok(broken) => Err(broken),
            Err(_) => Err(error),
        },
        Ok(outcome) => Ok(outcome),
    }
}

fn judge(view: AuditView, plan: &ClusterPlan) -> anyhow::Result<Outcome> {
    match view.state() {
        RunState::Succeeded => Ok(Outcome::Done(Box::new(view))),
        RunState::Failed => {
            bail!("the audit failed: {}; logs lie in {}", reason(&view), plan.logs().display())
        }
        RunState::Cancelled => bail!("the audit was cancelled; use --fresh to begin it again"),
        RunState::Pending | RunState::Running | RunState::Paused | RunState::Unspecified => {
            bail!("the audit ended in no final state")
        }
    }
}

/// The audit's reason, else that of the phase that failed.
fn reason(view: &AuditView) -> String {
    let of_phase = view.phases.iter().find(|p| p.state() == RunState::Failed);
    match of_phase {
        Some(phase) if view.reason.is_empty() => format!("{}: {}", phase.name, phase.reason),
        Some(_) | None => view.reason.clone(),
    }
}
