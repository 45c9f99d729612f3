//! `lethe list`, `show`, `workers` and `cluster`: one question, one answer.
//!
//! They must never change anything.

use lethe_proto::v1::{AuditView, ClusterRequest, GetAuditRequest, ListAuditsRequest, ListWorkersRequest};

use super::{block_on, print, refusal, told};
use crate::arguments;
use crate::exit::Ending;
use crate::reach::{Coordinators, Patience};
use crate::show::{self, Page, json};

pub fn list(arguments: &arguments::List) -> anyhow::Result<Ending> {
    let all = block_on(&arguments.remote, async |mut coordinators| all_audits(&mut coordinators).await)?;
    let count = all.len();
    let shown: Vec<AuditView> = all.into_iter().filter(|view| arguments.all || !show::ended(view)).collect();
    let hidden = count - shown.len();
    print(arguments.remote.output, || show::audits(&shown, hidden, Page::of_stdout()), || json::audits(&shown));
    Ok(Ending::Accepted)
}

/// Every audit, in the coordinator's order.
pub async fn all_audits(coordinators: &mut Coordinators) -> anyhow::Result<Vec<AuditView>> {
    let ask = coordinators.call(Patience::CALL, async |mut client| client.list_audits(ListAuditsRequest {}).await);
    Ok(ask.await.map_err(refusal::ended)?.audits)
}

pub fn show(arguments: &arguments::OneAudit) -> anyhow::Result<Ending> {
    let view = block_on(&arguments.remote, async |mut coordinators| audit(&mut coordinators, &arguments.audit).await)?;
    print(arguments.remote.output, || show::audit(&view, Page::of_stdout()), || json::audit(&view));
    Ok(Ending::Accepted)
}

/// One audit as it stands.
pub async fn audit(coordinators: &mut Coordinators, audit: &str) -> anyhow::Result<AuditView> {
    let request = || GetAuditRequest { audit: audit.to_owned() };
    match coordinators.call(Patience::CALL, async |mut client| client.get_audit(request()).await).await {
        Ok(reply) => told(reply.audit),
        Err(error) => Err(refusal::of_audit(coordinators, audit, error).await),
    }
}

pub fn workers(arguments: &arguments::Workers) -> anyhow::Result<Ending> {
    let workers = block_on(&arguments.remote, async |mut coordinators| {
        let ask = async |mut client: crate::reach::Client| client.list_workers(ListWorkersRequest {}).await;
        Ok(coordinators.call(Patience::CALL, ask).await.map_err(refusal::ended)?.workers)
    })?;
    print(arguments.remote.output, || show::workers(&workers, Page::of_stdout()), || json::workers(&workers));
    Ok(Ending::Accepted)
}

pub fn cluster(arguments: &arguments::Cluster) -> anyhow::Result<Ending> {
    let cluster = block_on(&arguments.remote, async |mut coordinators| {
        let ask = async |mut client: crate::reach::Client| client.cluster(ClusterRequest {}).await;
        coordinators.call(Patience::CALL, ask).await.map_err(refusal::ended)
    })?;
    print(arguments.remote.output, || show::cluster(&cluster), || json::cluster(&cluster));
    Ok(Ending::Accepted)
}
