//! `lethe submit`: hands a validated spec to a running coordinator.
//!
//! It must never send a spec that was not checked as a whole.

use anyhow::Context;
use lethe_common::ids::AuditId;
use lethe_common::spec;
use lethe_proto::v1::{AuditView, RunState, SubmitRequest};
use tonic::Code;

use super::{block_on, control, print, refusal, told, views, watch};
use crate::arguments::Submit;
use crate::exit::{Ending, bad_input};
use crate::reach::{CallError, Coordinators, Patience};
use crate::show::{self, Page, json};
use crate::tell::Receivers;

pub fn submit(arguments: &Submit) -> anyhow::Result<Ending> {
    let mut spec = spec::load(&arguments.spec)?;
    if let (Some(schedule), Some(due)) = (&arguments.schedule, arguments.scheduled_at) {
        spec.audit.id = due.audit_of(schedule).map_err(|error| bad_input(error.to_string()))?;
    }
    let output = arguments.remote.output;
    let receivers = Receivers::of(&arguments.tell)?;
    if !receivers.are_none() && !arguments.follow {
        return Err(bad_input(
            "--webhook and --kubernetes-event tell the audit's end, which is known with --follow alone",
        ));
    }
    block_on(&arguments.remote, async |mut coordinators| {
        match (&arguments.schedule, arguments.scheduled_at) {
            _ if arguments.full => spec.audit.since = None,
            (Some(schedule), Some(due)) => {
                let own = coordinators.name().unwrap_or_else(|| arguments.submitter.clone());
                let goes_before = |view: &&AuditView| view.submitter == own && due.is_after(&view.audit, schedule);
                spec.audit.since = before(&mut coordinators, goes_before).await?.or(spec.audit.since);
            }
            (Some(_), None) | (None, _) => {}
        }
        let request = SubmitRequest {
            audit: spec.audit.id.to_string(),
            spec_json: serde_json::to_vec(&spec).context("cannot write the spec as JSON")?,
            submitter: arguments.submitter.clone(),
            priority: arguments.priority,
        };
        let ask = coordinators.call(Patience::CALL, async |mut client| client.submit(request.clone()).await);
        let view = match ask.await {
            Ok(reply) => told(reply.audit)?,
            Err(error) if arguments.schedule.is_some() && is_taken(&error) => {
                stands(&mut coordinators, &request).await?
            }
            Err(error) => return Err(refusal::ended(error)),
        };
        if arguments.follow {
            return watch::follow(coordinators, &view.audit, output, &receivers).await;
        }
        // The same id again is the same audit, which is well where it goes on or has done its work.
        if view.state() != RunState::Succeeded
            && let Some(problem) = control::for_good(&view)
        {
            return Err(bad_input(problem));
        }
        print(output, || taken(&view), || json::audit(&view));
        Ok(Ending::Accepted)
    })
}

/// The last audit of a schedule that succeeded, whose scores the next one keeps where shards have not changed.
async fn before(
    coordinators: &mut Coordinators,
    goes_before: impl Fn(&&AuditView) -> bool,
) -> anyhow::Result<Option<AuditId>> {
    let all = views::all_audits(coordinators).await?;
    let ended = all.iter().filter(goes_before).filter(|view| view.state() == RunState::Succeeded);
    // In ids of one schedule the order of text is that of time.
    let last = ended.map(|view| view.audit.as_str()).max();
    last.map(AuditId::new).transpose().context("the coordinator gave an id that is none")
}

/// Whether an audit of that id was submitted before, with another spec.
fn is_taken(error: &CallError) -> bool {
    matches!(error, CallError::Refused(status) if status.code() == Code::AlreadyExists)
}

/// The audit that a schedule's time has already: whoever came first decided its spec, and a time has one audit.
async fn stands(coordinators: &mut Coordinators, request: &SubmitRequest) -> anyhow::Result<AuditView> {
    eprintln!("{} was submitted before, with another spec or from another audit on; it stands", request.audit);
    views::audit(coordinators, &request.audit).await
}

/// The audit as it was taken, and how to go on.
pub fn taken(view: &AuditView) -> String {
    let id = &view.audit;
    let next = match show::ended(view) {
        true => format!("it had been submitted before, and has ended; lethe fetch {id} brings its result"),
        false => format!("lethe watch {id} follows it"),
    };
    format!("{}\n{next}\n", show::audit(view, Page::of_stdout()))
}
