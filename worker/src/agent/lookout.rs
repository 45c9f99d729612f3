//! Looks beside a session whether another coordinator leads by now: a leader that is cut off from its store, but not
//! from its workers, hears of no election and would keep them for ever.
//!
//! It must never call a session over on less than a later term, from a coordinator that the operator named.

use lethe_common::ids::Term;
use lethe_proto::v1::ClusterRequest;
use lethe_proto::v1::audits_client::AuditsClient;
use lethe_tls::Target;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use super::AgentOptions;
use super::client::Credentials;
use super::pulse::Pulse;

type Client = AuditsClient<InterceptedService<Channel, Credentials>>;

/// Ends with the address of a coordinator that leads a later term than this session's; never where there is none.
pub(super) async fn later_leader(options: &AgentOptions, (address, term): (&str, Term), pulse: Pulse) -> String {
    let others = options.coordinators.iter().filter(|other| *other != address);
    let mut others: Vec<(&str, Client)> =
        others.filter_map(|o| Some((o.as_str(), client(options, o, pulse)?))).collect();
    if others.is_empty() {
        std::future::pending::<()>().await;
    }
    let period = pulse.look_every();
    let mut looks = interval_at(Instant::now() + period, period);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        for (other, client) in &mut others {
            let asked = timeout(pulse.connect_deadline(), client.cluster(ClusterRequest {})).await;
            // A standby refuses, one that is gone says nothing: neither leads.
            if let Ok(Ok(reply)) = asked
                && Term(reply.get_ref().term) > term
            {
                return (*other).to_owned();
            }
        }
    }
}

/// None for an address that the search will complain of.
fn client(options: &AgentOptions, address: &str, pulse: Pulse) -> Option<Client> {
    let certificate = options.certificate.as_ref();
    let target = Target::new(address, certificate).ok()?.with(|e| e.connect_timeout(pulse.connect_deadline()));
    let channel = target.connect_lazy(certificate);
    Some(AuditsClient::with_interceptor(channel, Credentials::new(options.token.as_deref()).ok()?))
}
