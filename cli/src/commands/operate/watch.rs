//! `lethe watch`: follows an audit to its end, whichever coordinator leads.
//!
//! It must never end because a coordinator did: only the audit's end, the user, or a minute without a leader ends it.

use anyhow::bail;
use lethe_evidence::artifacts::Verdict;
use lethe_proto::v1::{AuditView, RunState};

use super::{block_on, refusal};
use crate::arguments::{self, Format};
use crate::exit::Ending;
use crate::follow::Display;
use crate::interrupt::Interrupt;
use crate::reach::{Coordinators, News, Views};
use crate::show::{self, Page, json};
use crate::tell::Receivers;

pub fn watch(arguments: &arguments::Watch) -> anyhow::Result<Ending> {
    let receivers = Receivers::of(&arguments.tell)?;
    block_on(&arguments.remote, async |coordinators| {
        follow(coordinators, &arguments.audit, arguments.remote.output, &receivers).await
    })
}

/// Shows every view; in JSON each is a line on stdout. Its end is told to the receivers, however it ended.
pub async fn follow(
    coordinators: Coordinators,
    audit: &str,
    output: Format,
    receivers: &Receivers,
) -> anyhow::Result<Ending> {
    let mut interrupt = Interrupt::listen()?;
    let mut views = Views::new(coordinators, audit);
    let mut display = Display::choose();
    let ended = tokio::select! {
        ended = to_the_end(&mut views, &mut display, output) => Some(ended),
        () = interrupt.received() => None,
    };
    display.finish();
    match ended {
        Some(Ok(view)) => {
            tokio::select! {
                told = receivers.tell(&view) => told?,
                () = interrupt.received() => {
                    eprintln!("{audit} has ended; not every receiver was told");
                    return Ok(Ending::Interrupted);
                }
            }
            judge(&view, output)
        }
        Some(Err(error)) => Err(refusal::of_audit(views.coordinators(), audit, error).await),
        None => {
            eprintln!("no longer watching; {audit} goes on");
            Ok(Ending::Interrupted)
        }
    }
}

async fn to_the_end(
    views: &mut Views,
    display: &mut Display,
    output: Format,
) -> Result<AuditView, crate::reach::CallError> {
    loop {
        match views.next().await? {
            News::View(view) => {
                match output {
                    Format::Text => display.show(&view),
                    Format::Json => println!("{}", json::audit(&view)),
                }
                if show::ended(&view) {
                    return Ok(*view);
                }
            }
            News::Interrupted(why) => display.say(&format!("lost the coordinator ({why}); looking for the leader")),
        }
    }
}

/// A training has no verdict; one that this build does not know is looked at before anybody goes on.
fn of_verdict(view: &AuditView) -> Ending {
    match &view.conclusion {
        Some(conclusion) => Verdict::parse(&conclusion.verdict).map_or(Ending::Rejected, Ending::of),
        None => Ending::Accepted,
    }
}

fn judge(view: &AuditView, output: Format) -> anyhow::Result<Ending> {
    match output {
        Format::Text => print!("{}", show::audit(view, Page::of_stdout())),
        // Every view was a line, the last one as well.
        Format::Json => {}
    }
    match view.state() {
        RunState::Succeeded => Ok(of_verdict(view)),
        RunState::Failed
        | RunState::Cancelled
        | RunState::Paused
        | RunState::Pending
        | RunState::Running
        | RunState::Unspecified => {
            let why = show::waits(view).unwrap_or_default();
            bail!("{} {}: {why}", view.audit, show::state(view.state()))
        }
    }
}
