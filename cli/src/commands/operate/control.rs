//! `lethe pause`, `resume`, `approve` and `cancel`.
//!
//! They must never ask back: scripts use them. What is final is said instead.

use lethe_proto::v1::{ApproveAuditRequest, AuditView, CancelAuditRequest, PauseAuditRequest, ResumeAuditRequest};
use tonic::{Response, Status};

use super::{block_on, print, refusal, told};
use crate::arguments::Steer;
use crate::exit::{Ending, bad_input};
use crate::reach::{Client, Patience};
use crate::show::{self, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    Pause,
    Resume,
    Approve,
    Cancel,
}

pub fn control(arguments: &Steer, control: Control) -> anyhow::Result<Ending> {
    let Steer { audit, by, .. } = arguments;
    let view = block_on(&arguments.remote, async |mut coordinators| {
        let ask = async |client: Client| asked(client, (audit.clone(), by.clone()), control).await;
        match coordinators.call(Patience::CALL, ask).await {
            Ok(view) => told(view),
            Err(error) => Err(refusal::of_audit(&mut coordinators, audit, error).await),
        }
    })?;
    if matches!(control, Control::Pause | Control::Resume)
        && let Some(problem) = for_good(&view)
    {
        return Err(bad_input(problem));
    }
    print(arguments.remote.output, || sentence(&view, control), || json::audit(&view));
    Ok(Ending::Accepted)
}

async fn asked(
    mut client: Client,
    (audit, by): (String, String),
    control: Control,
) -> Result<Response<Option<AuditView>>, Status> {
    Ok(match control {
        Control::Pause => client.pause_audit(PauseAuditRequest { audit, by }).await?.map(|reply| reply.audit),
        Control::Resume => client.resume_audit(ResumeAuditRequest { audit, by }).await?.map(|reply| reply.audit),
        Control::Approve => client.approve_audit(ApproveAuditRequest { audit, by }).await?.map(|reply| reply.audit),
        Control::Cancel => client.cancel_audit(CancelAuditRequest { audit, by }).await?.map(|reply| reply.audit),
    })
}

/// What to do instead, where the audit can neither go on nor run again.
pub(super) fn for_good(view: &AuditView) -> Option<String> {
    if !show::ended(view) {
        return None;
    }
    let reason = show::waits(view).map(|why| format!(" ({why})")).unwrap_or_default();
    let id = &view.audit;
    Some(format!(
        "{id} has ended for good: {}{reason}; run its phases again as another audit with `lethe rerun {id} --from PHASE`, or choose \
         another audit.id",
        show::state(view.state())
    ))
}

/// What it is now, and what comes next.
fn sentence(view: &AuditView, control: Control) -> String {
    let state = show::state(view.state());
    let reason = show::waits(view).map(|why| format!(" ({why})")).unwrap_or_default();
    let next = match control {
        Control::Pause => format!("lethe resume {} goes on", view.audit),
        Control::Resume => format!("lethe watch {} follows it", view.audit),
        Control::Approve => format!("approved; lethe watch {} follows its delivery", view.audit),
        Control::Cancel => "this is final".to_owned(),
    };
    format!("{}: {state}{reason}; {next}\n", view.audit)
}

#[cfg(test)]
mod tests {
    use lethe_proto::v1::RunState;

    use super::*;

    #[test]
    fn each_answer_says_what_comes_next() {
        let view = |state: RunState, reason: &str| AuditView {
            audit: "march".to_owned(),
            state: state.into(),
            reason: reason.to_owned(),
            ..AuditView::default()
        };
        let table = [
            (RunState::Paused, "by ann", Control::Pause, "march: paused (by ann); lethe resume march goes on\n"),
            (RunState::Running, "", Control::Resume, "march: running; lethe watch march follows it\n"),
            (
                RunState::Running,
                "",
                Control::Approve,
                "march: running; approved; lethe watch march follows its delivery\n",
            ),
            (RunState::Cancelled, "by ann", Control::Cancel, "march: cancelled (by ann); this is final\n"),
        ];
        for (state, reason, control, told) in table {
            assert_eq!(sentence(&view(state, reason), control), told);
        }
    }
}
