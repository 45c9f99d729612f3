//! Connections to the coordinators, each shared by some workers.
//!
//! It must never hide how many there are: real workers have one each.

use std::sync::Mutex;
use std::time::Duration;

use lethe_proto::v1::workers_client::WorkersClient;
use lethe_tls::Target;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use crate::arguments::Swarm;
use crate::reach::Credentials;

pub type Client = WorkersClient<InterceptedService<Channel, Credentials>>;

pub struct Dial {
    targets: Vec<Target>,
    certificate: Option<lethe_tls::Credentials>,
    credentials: Credentials,
    per_connection: u32,
    /// By coordinator and connection. A channel dials again by itself.
    channels: Mutex<std::collections::BTreeMap<(usize, u32), Channel>>,
}

impl Dial {
    pub fn new(arguments: &Swarm) -> anyhow::Result<Self> {
        let certificate = arguments.tls.as_deref().map(lethe_tls::Credentials::load).transpose()?;
        let target = |url: &String| -> anyhow::Result<Target> {
            let target = Target::new(url, certificate.as_ref())?;
            Ok(target.with(|endpoint| endpoint.connect_timeout(Duration::from_secs(3))))
        };
        Ok(Self {
            targets: arguments.coordinator.iter().map(target).collect::<Result<_, _>>()?,
            certificate,
            credentials: Credentials::from_environment()?,
            per_connection: arguments.workers_per_connection.max(1),
            channels: Mutex::default(),
        })
    }

    /// The worker's client of the coordinator whose turn it is.
    pub fn client(&self, worker: u32, turn: usize) -> Client {
        let key = (turn % self.targets.len(), worker / self.per_connection);
        let mut channels = self.channels.lock().expect("nothing panics while it holds this");
        let channel =
            channels.entry(key).or_insert_with(|| self.targets[key.0].connect_lazy(self.certificate.as_ref())).clone();
        WorkersClient::with_interceptor(channel, self.credentials.clone())
    }

    pub fn connections(arguments: &Swarm) -> u32 {
        arguments.workers.div_ceil(arguments.workers_per_connection.max(1))
    }
}
