//! `lethe-worker`: the agent, or with `--executor` the process that it starts to own the device.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::builder::NonEmptyStringValueParser;
use clap::{CommandFactory, Parser};
use lethe_common::ids::WorkerId;
use lethe_telemetry::health::Readiness;
use lethe_telemetry::logs::{self, LogFormat};
use lethe_telemetry::spans::{ENDPOINT_VARIABLE, Spans};
use lethe_telemetry::{Ask, ServeError};
use lethe_tls::{Credentials, Role, Target};
use lethe_worker::agent::{self, AgentOptions, ExecutorCommand, Metrics, Slots, TOKEN_VARIABLE, stop};
use lethe_worker::device::{Asked, Chosen, Found};
use lethe_worker::executor::{self, Programs};
use lethe_worker::{earlier, machine, programs};

const HELP: &str = "Example:\n  lethe-worker --id w1 --coordinator http://127.0.0.1:7400,http://127.0.0.1:7401\n  \
lethe-worker --tls tls/gpu --id gpu-0 --device cuda:0 --coordinator https://lethe-0.example:7400\n\n\
LETHE_TOKEN in the environment is the bearer token that every call carries to a coordinator on loopback that has no --tls.\n\
Exit codes: 0 told to stop, 1 failed, 2 bad arguments.";

/// Alone, it prints the manual page, for `lethe man`.
const MAN: &str = "--man";

/// Runs the tasks of Lethe's audits on this machine.
#[derive(Parser)]
#[command(
    version,
    name = "lethe-worker",
    after_help = HELP
)]
struct Arguments {
    /// The coordinators' addresses, such as https://lethe-0.example:7400; the one that leads is found.
    #[arg(long, required_unless_present_any = ["executor", "list_devices", "measure"], value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    coordinator: Vec<String>,
    /// This worker's name, stable over its restarts.
    #[arg(long, required_unless_present_any = ["executor", "list_devices", "measure"])]
    id: Option<String>,
    /// Folder with tls.crt, tls.key and ca.crt of role worker, as `lethe pki issue` and cert-manager make them, for coordinators
    /// at https://. New files are taken up without a restart. The certificate's name is this worker's, or begins it: gpu
    /// covers gpu and gpu-...
    #[arg(long, value_name = "FOLDER", env = "LETHE_TLS")]
    tls: Option<PathBuf>,
    /// Map tasks to hold, 1 to 64: one runs, the others wait beside it.
    #[arg(long, default_value_t)]
    slots: Slots,
    /// Where to compute: auto, cpu, cuda (that is cuda:0) or cuda:N, GPUs being counted as CUDA_VISIBLE_DEVICES shows them.
    /// auto takes cuda:0 where this build has CUDA and a GPU is visible, and the CPU elsewhere. One worker a GPU; the
    /// workers of one training must all be on the CPU or all on CUDA. docs/gpu.md says how to set a GPU up.
    #[arg(long, default_value_t)]
    device: Asked,
    /// From SIGTERM to the end, at most: what runs may finish, and is handed back where it does not. A second signal
    /// hands it back at once.
    #[arg(long, default_value_t = 25_000, value_parser = clap::value_parser!(u64).range(..30_000))]
    grace_ms: u64,
    /// Address to serve /metrics, /healthz and /readyz on, in the clear and for whoever reaches it: keep it to the cluster's network.
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// Collector to tell spans to, by OTLP over gRPC, such as http://127.0.0.1:4317.
    #[arg(long, value_name = "URL", env = ENDPOINT_VARIABLE)]
    otlp: Option<String>,
    /// End at once when standard input ends, as it does with the process that started this one.
    #[arg(long)]
    parent_stdin: bool,
    /// Write logs as JSON.
    #[arg(long)]
    log_json: bool,
    /// Own the device, for the agent that holds the other end of standard input.
    #[arg(long, hide = true)]
    executor: bool,
    /// Say what CUDA is here, for the agent that asks.
    #[arg(long, hide = true)]
    list_devices: bool,
    /// Measure a stage of scoring, for `lethe bench score` that asks.
    #[arg(long, hide = true)]
    measure: Option<String>,
}

/// One line for whatever ends it, also where RUST_BACKTRACE is set: anyhow's own report would add a backtrace.
fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|first| first == MAN) {
        return match clap_mangen::Man::new(Arguments::command()).render(&mut std::io::stdout()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE, // nobody reads it any more
        };
    }
    let arguments = Arguments::parse();
    logs::init(LogFormat::of(arguments.log_json), "info");
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lethe-worker: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.list_devices {
        println!("{}", serde_json::to_string(&Found::here())?);
        return Ok(());
    }
    if let Some(request) = &arguments.measure {
        println!("{}", programs::measure(request)?);
        return Ok(());
    }
    if arguments.executor {
        let device = Chosen::open(arguments.device)?.device();
        return executor::run(
            Programs { map: earlier::run_map, open: earlier::open, gang: programs::run_gang },
            device,
            arguments.id.clone().unwrap_or_default(),
        );
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the agent's runtime")?.block_on(async {
        let mut stops = stop::requests(arguments.parent_stdin)?;
        // To look for a device may take a minute, and nothing is held yet.
        let options = tokio::select! {
            options = options(arguments) => options?,
            _ = stops.recv() => return Ok(()),
        };
        let (metrics, spans) = (options.metrics.clone(), options.spans.clone());
        if let Some(address) = arguments.metrics {
            serve(address, metrics).await?;
        }
        agent::run(options, stops).await;
        spans.finish().await;
        Ok(())
    })
}

/// Until the process ends. A worker is ready while it has a session, and lives without one: coordinators come back.
async fn serve(address: SocketAddr, metrics: Metrics) -> Result<(), ServeError> {
    let listener = lethe_telemetry::listen(address).await?;
    let counted = metrics.clone();
    let scrape = Ask::new(move || std::future::ready(counted.text()));
    let ready = Ask::new(move || {
        std::future::ready(match metrics.has_session() {
            true => Readiness::ready("a session is open"),
            false => Readiness::not("no session: no coordinator that leads was found"),
        })
    });
    tokio::spawn(lethe_telemetry::serve(listener, scrape, ready));
    Ok(())
}

async fn options(arguments: &Arguments) -> anyhow::Result<AgentOptions> {
    let id = arguments.id.as_deref().context("--id is missing")?;
    let program = std::env::current_exe().context("cannot find this program to start its executor")?;
    let mut words = vec!["--executor".into(), "--id".into(), id.into()];
    words.extend(arguments.log_json.then(|| "--log-json".into()));
    let mut executor = ExecutorCommand { program, arguments: words, variables: Vec::new() };
    let device = Chosen::ask(arguments.device, &executor).await?;
    executor.arguments.extend(device.words());
    executor.variables.extend(device.variables());
    let of_worker = |folder: &PathBuf| Credentials::of_roles(folder, &[Role::Worker]);
    let certificate = arguments.tls.as_ref().map(of_worker).transpose()?;
    for address in &arguments.coordinator {
        Target::new(address, certificate.as_ref())?;
    }
    Ok(AgentOptions {
        certificate,
        coordinators: arguments.coordinator.clone(),
        id: WorkerId::new(id).context("--id is not a worker's name")?,
        token: std::env::var(TOKEN_VARIABLE).ok(),
        host: machine::hostname(),
        device: device.kind(),
        instance: machine::instance(),
        memory_bytes: machine::memory_bytes(),
        slots: arguments.slots,
        grace: Duration::from_millis(arguments.grace_ms),
        executor,
        metrics: Metrics::default(),
        spans: Spans::to(arguments.otlp.as_deref(), "lethe-worker", id)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_of_the_help_is_taken() {
        let lines: Vec<&str> = HELP.split("\n\n").next().expect("begins with them").lines().skip(1).collect();
        assert_eq!(lines.len(), 2);
        for line in lines {
            if let Err(error) = Arguments::try_parse_from(line.split_whitespace()) {
                panic!("{line}: {error}");
            }
        }
    }
}
