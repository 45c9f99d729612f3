//! The coordinator as a process: parse, listen, say where, run until told to stop.
//!
//! It must never print anything on stdout but the one line that says where it listens.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use lethe_common::telemetry::{self, LogFormat};
use lethe_coordinator::api::Token;
use lethe_coordinator::server::{Config, listen, run};
use lethe_coordinator::store::EtcdAddress;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// A reduce may keep a thread busy; heartbeats must not wait for it.
const MIN_THREADS: usize = 4;

/// Not an argument: every user of a machine can read those.
const TOKEN_VARIABLE: &str = "LETHE_TOKEN";
const TOKEN_HELP: &str = "LETHE_TOKEN in the environment is the bearer token that every call must carry.";

/// Runs audits: decides which worker does what, keeps what they commit, and reports.
#[derive(Debug, Parser)]
#[command(name = "lethe-coordinator", version, after_help = TOKEN_HELP)]
struct Arguments {
    /// Address to listen on: loopback only, since there is no TLS yet. Port 0 lets the system choose
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Folder of the blobs (blobs/), and of the store (store.redb) unless --store names another
    #[arg(long)]
    work: PathBuf,
    /// The store: etcd://HOST:PORT,HOST:PORT,...[/PREFIX], by default the work folder's own
    #[arg(long, value_name = "ADDRESS")]
    store: Option<EtcdAddress>,
    /// Folder that the report and the published checkpoint go to
    #[arg(long)]
    result: PathBuf,
    /// How often a worker shows that it lives; leases and losses derive from it
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(50..=60_000))]
    heartbeat_ms: u64,
    /// Stop when standard input closes, so that no child outlives its parent
    #[arg(long)]
    parent_stdin: bool,
    /// Log lines as JSON
    #[arg(long)]
    log_json: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    telemetry::init(if arguments.log_json { LogFormat::Json } else { LogFormat::Text }, "info");
    let threads = std::thread::available_parallelism().map_or(MIN_THREADS, |cores| cores.get().max(MIN_THREADS));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> anyhow::Result<()> {
    let token = std::env::var(TOKEN_VARIABLE)
        .context("LETHE_TOKEN is not set; expected the bearer token that every call must carry")?;
    let config = Config {
        token: Token::new(&token)?,
        work: arguments.work,
        etcd: arguments.store,
        result: arguments.result,
        heartbeat_ms: arguments.heartbeat_ms,
    };
    let listener = listen(arguments.listen).await?;
    let shutdown = stop_signal(arguments.parent_stdin)?;
    announce(&listener)?;
    run(listener, config, shutdown).await.context("the coordinator stopped")
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
