//! `lethe watch`: follows an audit to its end, whichever coordinator leads.
//!
//! It must never end because a coordinator did: only the audit's end, the user, or a minute without a leader ends it.

use anyhow::bail;
use lethe_proto::v1::{AuditView, RunState};

use super::{block_on, refusal};
use crate::arguments::{self, Format};
use crate::exit::Ending;
use crate::follow::Display;
use crate::interrupt::Interrupt;
use crate::outcome::Outcome;
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
            let judged = judge(&view, output);
            let told = tokio::select! {
                told = receivers.tell(&view) => told,
                () = interrupt.received() => {
                    eprintln!("{audit} has ended; not every receiver was told");
                    return Ok(Ending::Interrupted);
                }
            };
            match (judged, told) {
                // What the audit came to weighs more than who was told.
                (Ok(Ending::Accepted), Err(error)) => Err(error),
                (judged, Err(error)) => {
                    eprintln!("warning: {error:#}");
                    judged
                }
                (judged, Ok(())) => judged,
            }
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

/// What a person would go on by, and may not, is said.
fn of_outcome(view: &AuditView) -> anyhow::Result<Ending> {
    let report = || format!("lethe fetch {} report.html", view.audit);
    match Outcome::of(view) {
        Outcome::Without => Ok(Ending::Accepted),
        Outcome::Verdict(verdict) => {
            if !verdict.is_accepted() {
                eprintln!("the audit rejected its own result: do not use its checkpoint; {} says why", report());
            }
            Ok(Ending::of(verdict))
        }
        Outcome::Unknown => bail!(
            "{} succeeded, and what it came to is not known here: {} says it (this command and the coordinator are of different releases)",
            view.audit,
            report()
        ),
    }
}

fn judge(view: &AuditView, output: Format) -> anyhow::Result<Ending> {
    match output {
        Format::Text => print!("{}", show::audit(view, Page::of_stdout())),
        // Every view was a line, the last one as well.
        Format::Json => {}
    }
    match view.state() {
        RunState::Succeeded => of_outcome(view),
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
