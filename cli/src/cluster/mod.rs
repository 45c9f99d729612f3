//! A coordinator and its workers as child processes, for one audit on one machine.
//!
//! It must never outlive its command: the children hold a pipe of ours and end when it closes, whatever ends us.

mod keeper;
mod process;
mod token;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use lethe_proto::v1::audits_client::AuditsClient;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::metadata::AsciiMetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::arguments::Devices;

pub use process::{Launch, Process, Stdout, words};
pub use token::Token;

/// How long a coordinator may take from its start to the line that says where it listens.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// What a cluster is made of.
#[derive(Debug, Clone)]
pub struct ClusterPlan {
    /// The result folder; the store, the blobs and the logs lie in `.lethe` under it.
    pub result: PathBuf,
    pub workers: u32,
    pub devices: Devices,
    pub heartbeat_ms: u64,
}

impl ClusterPlan {
    pub fn work(&self) -> PathBuf {
        self.result.join(".lethe")
    }

    pub fn logs(&self) -> PathBuf {
        self.work().join("logs")
    }
}

pub type Client = AuditsClient<InterceptedService<Channel, Bearer>>;

pub struct Cluster {
    coordinator: Process,
    workers: JoinSet<anyhow::Error>,
    stop: watch::Sender<bool>,
    address: SocketAddr,
    token: Token,
}

impl Cluster {
    /// Starts the coordinator, waits until it listens, and starts the workers.
    pub async fn start(plan: &ClusterPlan) -> anyhow::Result<Self> {
        let logs = plan.logs();
        std::fs::create_dir_all(&logs).with_context(|| format!("cannot make the folder {}", logs.display()))?;
        let token = Token::draw()?;
        let mut coordinator = Process::start(&coordinator(plan, &token)?)?;
        let address = listening_address(&mut coordinator).await?;
        let (stop, stopped) = watch::channel(false);
        let mut workers = JoinSet::new();
        for index in 0..plan.workers {
            workers.spawn(keeper::keep(worker(plan, &token, address, index)?, stopped.clone()));
        }
        Ok(Self { coordinator, workers, stop, address, token })
    }

    /// A client that carries the cluster's token.
    pub async fn client(&self) -> anyhow::Result<Client> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address))?.connect_timeout(START_DEADLINE);
        let channel = endpoint.connect().await.context("cannot reach the coordinator that was just started")?;
        Ok(AuditsClient::with_interceptor(channel, Bearer::new(&self.token)?))
    }

    /// Waits until the cluster cannot go on: the coordinator ended, or a worker ended too often.
    pub async fn broken(&mut self) -> anyhow::Error {
        tokio::select! {
            status = self.coordinator.ended() => anyhow!("{}", self.coordinator.post_mortem(&status)),
            Some(given_up) = self.workers.join_next() => match given_up {
                Ok(error) => error,
                Err(panic) => anyhow!("a worker's keeper failed: {panic}"),
            },
        }
    }

    /// Stops the workers, then the coordinator; returns when all of them are gone.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.workers.join_next().await.is_some() {}
        self.coordinator.stop().await;
    }
}

fn coordinator(plan: &ClusterPlan, token: &Token) -> anyhow::Result<Launch> {
    let mut arguments = words(["--listen", "127.0.0.1:0", "--parent-stdin", "--heartbeat-ms"]);
    arguments.push(plan.heartbeat_ms.to_string().into());
    arguments.extend(["--work".into(), plan.work().into(), "--result".into(), plan.result.clone().into()]);
    arguments.extend(to_collector());
    Ok(Launch {
        name: "coordinator".to_owned(),
        program: sibling("lethe-coordinator")?,
        arguments,
        stdout: Stdout::Read,
        log: plan.logs().join("coordinator.log"),
        token: token.clone(),
    })
}

fn worker(plan: &ClusterPlan, token: &Token, address: SocketAddr, index: u32) -> anyhow::Result<Launch> {
    let name = format!("worker-{index}");
    let (coordinator, device) = (format!("http://{address}"), plan.devices.of(index));
    let mut arguments = words(["--parent-stdin", "--coordinator", &coordinator, "--id", &name, "--device", &device]);
    arguments.extend(to_collector());
    Ok(Launch {
        program: sibling("lethe-worker")?,
        arguments,
        stdout: Stdout::Discard,
        log: plan.logs().join(format!("{name}.log")),
        token: token.clone(),
        name,
    })
}

/// As the command itself was told.
fn to_collector() -> impl Iterator<Item = OsString> {
    crate::traced::collector().into_iter().flat_map(|collector| words(["--otlp", collector]))
}

/// A binary of the same build, which lies beside this one.
pub fn sibling(binary: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    let path = own.parent().unwrap_or(Path::new("/")).join(binary);
    if !path.is_file() {
        bail!("{} is missing; build all binaries with `make build`", path.display());
    }
    Ok(path)
}

/// Where a coordinator listens, from the one line that it prints.
pub async fn listening_address(coordinator: &mut Process) -> anyhow::Result<SocketAddr> {
    let stdout = coordinator.take_stdout().context("the coordinator's output was taken before")?;
    let mut line = String::new();
    let read = tokio::time::timeout(START_DEADLINE, BufReader::new(stdout).read_line(&mut line)).await;
    let what = match read {
        Ok(Ok(_)) => match line.trim().strip_prefix("listening on ").map(str::parse) {
            Some(Ok(address)) => return Ok(address),
            Some(Err(_)) | None => format!("the coordinator said {:?} instead of where it listens", line.trim()),
        },
        Ok(Err(error)) => format!("cannot read the coordinator's output: {error}"),
        Err(_) => format!("the coordinator did not listen within {} s", START_DEADLINE.as_secs()),
    };
    bail!("{what}{}", coordinator.log_tail())
}

/// Puts the token on every request.
#[derive(Debug, Clone)]
pub struct Bearer(AsciiMetadataValue);

impl Bearer {
    fn new(token: &Token) -> anyhow::Result<Self> {
        let mut value: AsciiMetadataValue = format!("Bearer {}", token.as_str()).parse()?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        crate::traced::carry(request.metadata_mut());
        Ok(request)
    }
}
