//! The coordinator as a process: parse, listen, say where, run until told to stop.
//!
//! It must never print anything on stdout but the one line that says where it listens.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{CommandFactory, Parser};
use lethe_common::spec::StoreUrl;
use lethe_coordinator::api::{Gate, Places, Token};
use lethe_coordinator::results::ResultFolder;
use lethe_coordinator::server::{Config, PagesAt, StoreChoice, listen, run};
use lethe_coordinator::store::EtcdAddress;
use lethe_engine::Knobs;
use lethe_telemetry::logs::{self, LogFormat};
use lethe_telemetry::spans::{ENDPOINT_VARIABLE, Spans};
use lethe_tls::{Credentials, Outside, Role};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// A reduce may keep a thread busy; heartbeats must not wait for it.
const MIN_THREADS: usize = 4;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Not an argument: every user of a machine can read those.
const TOKEN_VARIABLE: &str = "LETHE_TOKEN";
const HELP: &str = "Example:\n  lethe-coordinator --listen 127.0.0.1:7400 --work work --results results\n  \
lethe-coordinator --tls tls/lethe-0 --listen 0.0.0.0:7400 --advertise https://lethe-0.example:7400 --root /data \\\n    \
--work work --results results --store etcd://127.0.0.1:2379\n\n\
LETHE_TOKEN in the environment is the bearer token that every call must carry, where there is no --tls.\n\
Exit codes: 0 told to stop, 1 failed, 2 bad arguments.";

/// Alone, it prints the manual page, for `lethe man`.
const MAN: &str = "--man";

/// Runs audits: decides which worker does what, keeps what they commit, and reports.
#[derive(Debug, Parser)]
#[command(name = "lethe-coordinator", version, after_help = HELP)]
struct Arguments {
    /// Address to listen on: a loopback one where there is no --tls. Port 0 lets the system choose
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Folder of the blobs (blobs/) where there is no --blobs, of the embedded store (store.redb), and of files on their way
    #[arg(long)]
    work: PathBuf,
    /// Where the state lies: etcd://HOST:PORT,HOST:PORT,...[/PREFIX], or etcds:// over TLS; without it in the work folder. On
    /// etcd any number of coordinators may run, of which one leads
    #[arg(long, value_name = "URL")]
    store: Option<EtcdAddress>,
    /// Folder with ca.crt of the authority that vouches for an etcds://, and with tls.crt and tls.key where it asks who we are. New
    /// files are used from the next connection on
    #[arg(long, value_name = "FOLDER", requires = "store")]
    store_tls: Option<PathBuf>,
    /// Where the blobs lie that coordinators and workers hand each other: file:///FOLDER, s3://BUCKET[/PREFIX], gs:// or az://. A
    /// bucket's credentials come from the environment of each of them, or from the machine's identity [default: blobs/ in --work]
    #[arg(long, value_name = "URL")]
    blobs: Option<String>,
    /// What workers and clients dial, such as https://lethe-0.example:7400 [default: the address listened on]
    #[arg(long, value_name = "URL")]
    advertise: Option<String>,
    /// Folder with tls.crt, tls.key and ca.crt of role coordinator, as `lethe pki issue` and cert-manager make them: callers then
    /// need certificates of the same authority, and the token is not used. New files are taken up without a restart
    #[arg(long, value_name = "FOLDER", env = "LETHE_TLS")]
    tls: Option<PathBuf>,
    /// Address to serve pages on for browsers; `lethe open` logs one in. With --tls over TLS
    #[arg(long, value_name = "ADDRESS")]
    pages: Option<SocketAddr>,
    /// What browsers dial for them [default: the address of --pages]
    #[arg(long, value_name = "URL", requires = "pages")]
    pages_url: Option<String>,
    /// Address to serve /metrics, /healthz and /readyz on, in the clear and for whoever reaches it: keep it to the cluster's network
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// Collector to tell spans to, by OTLP over gRPC, such as http://127.0.0.1:4317
    #[arg(long, value_name = "URL", env = ENDPOINT_VARIABLE)]
    otlp: Option<String>,
    /// Folders that the paths of specs must lie under; with --tls others than these are refused, without it every path is taken
    #[arg(long, value_name = "FOLDER[,FOLDER..]", value_delimiter = ',', requires = "tls", value_parser = root)]
    root: Vec<PathBuf>,
    /// Stores that specs may name, such as s3://bucket, and the endpoints they may name for them; as for --root
    #[arg(long, value_name = "URL[,URL..]", value_delimiter = ',', requires = "tls", value_parser = store_url)]
    store_url: Vec<StoreUrl>,
    /// Folder in which every audit gets a result folder of its own
    #[arg(long, required_unless_present = "result", conflicts_with = "result")]
    results: Option<PathBuf>,
    /// Folder that the results of the one audit go to, in place of --results
    #[arg(long)]
    result: Option<PathBuf>,
    /// How often a worker shows that it lives; every other wait derives from it and is printed at the start
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(50..=60_000))]
    heartbeat_ms: u64,
    /// Audits of one submitter that run at once; the others wait for their turn
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    running_per_submitter: u32,
    /// Audits that run at once
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    running: u32,
    /// Days that an ended audit is kept
    #[arg(long, default_value_t = 30)]
    retention_days: u32,
    /// Stop when standard input closes, so that no child outlives its parent
    #[arg(long)]
    parent_stdin: bool,
    /// Log lines as JSON
    #[arg(long)]
    log_json: bool,
}

fn main() -> anyhow::Result<()> {
    if std::env::args_os().nth(1).is_some_and(|first| first == MAN) {
        return Ok(clap_mangen::Man::new(Arguments::command()).render(&mut std::io::stdout())?);
    }
    let arguments = Arguments::parse();
    logs::init(LogFormat::of(arguments.log_json), "info");
    let threads = std::thread::available_parallelism().map_or(MIN_THREADS, |cores| cores.get().max(MIN_THREADS));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let ended = runtime.block_on(serve(arguments));
    // Work that cannot be interrupted, such as the hash of a large file or a look at a mount that hangs, is not waited for.
    runtime.shutdown_timeout(Duration::from_secs(2));
    ended
}

async fn serve(arguments: Arguments) -> anyhow::Result<()> {
    let config = config(&arguments, gate(&arguments)?)?;
    let listener = listen(arguments.listen, &config.gate).await?;
    let shutdown = stop_signal(arguments.parent_stdin)?;
    announce(&listener)?;
    let spans = config.spans.clone();
    let ended = run(listener, config, shutdown).await.context("the coordinator stopped");
    spans.finish().await;
    ended
}

fn store_url(text: &str) -> Result<StoreUrl, String> {
    match StoreUrl::split(text)? {
        (store, "") => Ok(store),
        (store, _) => Err(format!("expected the store alone, {store}")),
    }
}

fn root(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err("expected an absolute path: specs have absolute ones".to_owned()) }
}

fn gate(arguments: &Arguments) -> anyhow::Result<Gate> {
    if let Some(folder) = &arguments.tls {
        return Ok(Gate::Certificates(Credentials::of_roles(folder, &[Role::Coordinator])?));
    }
    let token = std::env::var(TOKEN_VARIABLE)
        .context("LETHE_TOKEN is not set; expected the bearer token that every call must carry, or --tls")?;
    Ok(Gate::Token(Token::new(&token)?))
}

fn config(arguments: &Arguments, gate: Gate) -> anyhow::Result<Config> {
    let results = match (&arguments.result, &arguments.results) {
        (Some(result), _) => ResultFolder::One(result.clone()),
        (None, Some(results)) => ResultFolder::PerAudit(results.clone()),
        (None, None) => anyhow::bail!("neither --result nor --results is given"),
    };
    let store = match &arguments.store {
        None => StoreChoice::Embedded,
        Some(address) => {
            let tls = arguments.store_tls.as_deref().map(Outside::load).transpose()?;
            StoreChoice::Etcd(address.clone().with_tls(tls)?)
        }
    };
    let knobs = Knobs {
        max_running_per_submitter: arguments.running_per_submitter,
        max_running: arguments.running,
        retention_ms: u64::from(arguments.retention_days) * DAY_MS,
        ..Knobs::from_heartbeat(arguments.heartbeat_ms)?
    };
    let places = match &gate {
        Gate::Token(_) => Places::Any,
        Gate::Certificates(_) => Places::Only { roots: arguments.root.clone(), stores: arguments.store_url.clone() },
    };
    let pages = arguments.pages.map(|listen| PagesAt { listen, url: arguments.pages_url.clone() });
    let (work, blobs, advertise) = (arguments.work.clone(), arguments.blobs.clone(), arguments.advertise.clone());
    let metrics = arguments.metrics;
    let instance = advertise.clone().unwrap_or_else(|| arguments.listen.to_string());
    let spans = Spans::to(arguments.otlp.as_deref(), "lethe-coordinator", &instance)?;
    Ok(Config { work, blobs, results, store, advertise, knobs, gate, places, pages, metrics, spans })
}

/// Connections queue from here on, even before the server takes the first.
fn announce(listener: &TcpListener) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on {}", listener.local_addr()?)?;
    Ok(out.flush()?)
}

/// Ends on SIGTERM, on SIGINT, or when the parent closes our standard input.
fn stop_signal(parent_stdin: bool) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = stdin_closed(), if parent_stdin => {}
        }
    })
}

/// Reads standard input to its end on a thread of its own, which nothing waits for.
async fn stdin_closed() {
    let (closed, ended) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        drop(std::io::copy(&mut std::io::stdin(), &mut std::io::sink())); // an error is an end too
        drop(closed);
    });
    drop(ended.await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_of_the_help_is_taken() {
        let examples = HELP.split("\n\n").next().expect("begins with them").replace("\\\n", " ");
        let lines: Vec<&str> = examples.lines().skip(1).collect();
        assert_eq!(lines.len(), 2);
        for line in lines {
            Arguments::try_parse_from(line.split_whitespace()).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }
}
