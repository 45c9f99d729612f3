//! `lethe-worker`: the agent, or with `--executor` the process that it starts to own the device.

use std::future::Future;
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use lethe_common::ids::WorkerId;
use lethe_common::telemetry::{self, LogFormat};
use lethe_worker::agent::{self, AgentOptions, ExecutorCommand, TOKEN_VARIABLE};
use lethe_worker::executor::{self, Programs};
use lethe_worker::programs;
use tokio::signal::unix::{SignalKind, signal};

/// Runs the tasks of Lethe's audits on this machine.
#[derive(Parser)]
#[command(version, after_help = "LETHE_TOKEN in the environment is the bearer token that every call carries.")]
struct Arguments {
    /// The coordinator's address, such as http://127.0.0.1:7400.
    #[arg(long, required_unless_present = "executor")]
    coordinator: Option<String>,
    /// This worker's name, stable over its restarts.
    #[arg(long, required_unless_present = "executor")]
    id: Option<String>,
    /// End when standard input ends, as it does with the process that started this one.
    #[arg(long)]
    parent_stdin: bool,
    /// Write logs as JSON.
    #[arg(long)]
    log_json: bool,
    /// Own the device, for the agent that holds the other end of standard input.
    #[arg(long, hide = true)]
    executor: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    telemetry::init(if arguments.log_json { LogFormat::Json } else { LogFormat::Text }, "info");
    if arguments.executor {
        return executor::run(Programs { map: programs::run_map, gang: programs::run_gang });
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the agent's runtime")?.block_on(async {
        let ended = shutdown(arguments.parent_stdin)?;
        agent::run(options(&arguments)?, ended).await;
        Ok(())
    })
}

fn options(arguments: &Arguments) -> anyhow::Result<AgentOptions> {
    let id = arguments.id.as_deref().context("--id is missing")?;
    let program = std::env::current_exe().context("cannot find this program to start its executor")?;
    let mut words = vec!["--executor".into()];
    words.extend(arguments.log_json.then(|| "--log-json".into()));
    Ok(AgentOptions {
        coordinator: arguments.coordinator.clone().context("--coordinator is missing")?,
        id: WorkerId::new(id).context("--id is not a worker's name")?,
        token: std::env::var(TOKEN_VARIABLE).ok(),
        host: hostname(),
        device: "cpu".to_owned(),
        executor: ExecutorCommand { program, arguments: words, variables: Vec::new() },
    })
}

/// For people who read the list of workers; nothing depends on it.
fn hostname() -> String {
    let name = std::fs::read_to_string(PathBuf::from("/proc/sys/kernel/hostname")).unwrap_or_default();
    name.trim().to_owned()
}

/// Ends at SIGTERM, at SIGINT, and where asked at the end of standard input.
fn shutdown(parent_stdin: bool) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let (parent, parent_gone) = tokio::sync::oneshot::channel::<()>();
    if parent_stdin {
        // A thread of its own: tokio would wait for the blocking read at the end.
        std::thread::spawn(move || {
            drop(std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()));
            drop(parent);
        });
    } else {
        std::mem::forget(parent); // never gone
    }
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = parent_gone => {}
        }
    })
}
