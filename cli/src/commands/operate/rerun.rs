//! `lethe rerun`: a new audit that takes over another's results before a phase.
//!
//! It must never change the audit it takes from.

use anyhow::Context;
use lethe_common::ids::AuditId;
use lethe_common::spec;
use lethe_coordinator::review::next_free;
use lethe_proto::v1::{AuditView, RerunAuditRequest};

use super::submit::taken;
use super::{block_on, print, refusal, told, views};
use crate::arguments::Rerun;
use crate::exit::{Ending, bad_input};
use crate::reach::{Coordinators, Patience, near};
use crate::show::json;

pub fn rerun(arguments: &Rerun) -> anyhow::Result<Ending> {
    let view = block_on(&arguments.remote, async |mut coordinators| {
        let of = views::audit(&mut coordinators, &arguments.audit).await?;
        has_phase(&of, &arguments.from)?;
        let id = id(arguments, &mut coordinators).await?;
        let request = RerunAuditRequest {
            spec_json: spec_json(arguments, &id)?,
            audit: id.into(),
            of: arguments.audit.clone(),
            from_phase: arguments.from.clone(),
            submitter: arguments.submitter.clone(),
            priority: arguments.priority,
        };
        let ask = coordinators.call(Patience::CALL, async |mut client| client.rerun_audit(request.clone()).await);
        told(ask.await.map_err(refusal::ended)?.audit)
    })?;
    print(arguments.remote.output, || taken(&view), || json::audit(&view));
    Ok(Ending::Accepted)
}

fn has_phase(of: &AuditView, from: &str) -> anyhow::Result<()> {
    let names: Vec<&str> = of.phases.iter().map(|phase| phase.name.as_str()).collect();
    if names.contains(&from) {
        return Ok(());
    }
    let hint = match near(from, names.iter().copied())[..] {
        [] => format!("its phases are {}", names.join(", ")),
        ref near => format!("did you mean {}?", near.join(" or ")),
    };
    Err(bad_input(format!("{} has no phase {from:?}; {hint}", of.audit)))
}

/// Chosen once, so that the same call tried again is one audit.
async fn id(arguments: &Rerun, coordinators: &mut Coordinators) -> anyhow::Result<AuditId> {
    let text = match &arguments.id {
        Some(id) => id.clone(),
        None => {
            let taken = views::all_audits(coordinators).await?;
            next_free(&arguments.audit, taken.iter().map(|view| view.audit.as_str()))
        }
    };
    AuditId::new(&text).map_err(|error| bad_input(format!("{error}; choose another with --id")))
}

/// Empty where the spec stays as it was.
fn spec_json(arguments: &Rerun, id: &AuditId) -> anyhow::Result<Vec<u8>> {
    let Some(path) = &arguments.spec else { return Ok(Vec::new()) };
    let mut spec = spec::load(path)?;
    spec.audit.id = id.clone();
    serde_json::to_vec(&spec).context("cannot write the spec as JSON")
}

#[cfg(test)]
mod tests {
    use lethe_proto::v1::PhaseView;

    use super::*;

    #[test]
    fn a_phase_that_is_not_there_is_told_with_those_near_it() {
        let phase = |name: &str| PhaseView { name: name.to_owned(), ..PhaseView::default() };
        let phases = vec![phase("score"), phase("suspect"), phase("unlearn")];
        let of = AuditView { audit: "march".to_owned(), phases, ..AuditView::default() };
        assert!(has_phase(&of, "unlearn").is_ok());
        let told = |from| has_phase(&of, from).expect_err("is not there").to_string();
        assert_eq!(told("unlaern"), "march has no phase \"unlaern\"; did you mean unlearn?");
        assert_eq!(told("zzz"), "march has no phase \"zzz\"; its phases are score, suspect, unlearn");
    }
}
