//! `lethe submit`: hands a validated spec to a running coordinator.
//!
//! It must never send a spec that was not checked as a whole.

use anyhow::Context;
use lethe_common::spec;
use lethe_proto::v1::{AuditView, SubmitRequest};

use super::{block_on, print, refusal, told, watch};
use crate::arguments::Submit;
use crate::exit::Ending;
use crate::reach::Patience;
use crate::show::{self, Page, json};

pub fn submit(arguments: &Submit) -> anyhow::Result<Ending> {
    let spec = spec::load(&arguments.spec)?;
    let request = SubmitRequest {
        audit: spec.audit.id.to_string(),
        spec_json: serde_json::to_vec(&spec).context("cannot write the spec as JSON")?,
        submitter: arguments.submitter.clone(),
        priority: arguments.priority,
    };
    let output = arguments.remote.output;
    block_on(&arguments.remote, async |mut coordinators| {
        let ask = coordinators.call(Patience::CALL, async |mut client| client.submit(request.clone()).await);
        let view = told(ask.await.map_err(refusal::ended)?.audit)?;
        if arguments.follow {
            return watch::follow(coordinators, &view.audit, output).await;
        }
        print(output, || taken(&view), || json::audit(&view));
        Ok(Ending::Accepted)
    })
}

/// The audit as it was taken, and how to go on.
pub fn taken(view: &AuditView) -> String {
    format!("{}\nlethe watch {} follows it\n", show::audit(view, Page::of_stdout()), view.audit)
}
