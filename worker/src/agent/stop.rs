//! How a worker ends: who asks for it, and by when each step of it must be over.
//!
//! It must never end the process: the agent's loop returns in time, and the process with it.

use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// A request to end. A second one of any kind is as [`Stop::AtOnce`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Finish what runs, if the grace allows it.
    Drain,
    /// Hand back what runs, now.
    AtOnce,
}

/// Listens for SIGTERM and SIGINT, which drain, and where asked for the end of standard input, which ends with the
/// process that started this one: nobody waits for a grace then.
///
/// # Errors
/// Where the signals cannot be listened for.
pub fn requests(parent_stdin: bool) -> anyhow::Result<mpsc::Receiver<Stop>> {
    let terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let (requests, receiver) = mpsc::channel(4);
    let parent = parent_stdin.then(end_of_stdin);
    tokio::spawn(listen((terminate, interrupt), parent, requests));
    Ok(receiver)
}

async fn listen(
    (mut terminate, mut interrupt): (Signal, Signal),
    mut parent: Option<oneshot::Receiver<()>>,
    requests: mpsc::Sender<Stop>,
) {
    let mut next = async || {
        tokio::select! {
            _ = terminate.recv() => Stop::Drain,
            _ = interrupt.recv() => Stop::Drain,
            () = gone(&mut parent) => Stop::AtOnce,
        }
    };
    while requests.send(next().await).await.is_ok() {}
}

/// Once, when the other end is dropped; never where there is none.
async fn gone(parent: &mut Option<oneshot::Receiver<()>>) {
    match parent {
        Some(waiting) => drop(waiting.await),
        None => std::future::pending().await,
    }
    *parent = None;
}

/// On a thread of its own: tokio would wait for the blocking read at the end.
fn end_of_stdin() -> oneshot::Receiver<()> {
    let (parent, gone) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        drop(std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()));
        drop(parent);
    });
    gone
}

/// Answers to what is on its way and the session's end take no longer than this, of the grace.
const MOST_MARGIN: Duration = Duration::from_secs(5);

/// What a stop at once may still take.
const AT_ONCE: Duration = Duration::from_secs(4);

/// By when each step of an ending is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ending {
    /// What runs is handed back.
    pub(super) hand_back_at: Instant,
    /// Commits that were not answered are given up.
    pub(super) leave_at: Instant,
    /// How long the coordinator may then take to see the session's end.
    pub(super) farewell: Duration,
}

impl Ending {
    pub(super) fn drain(now: Instant, grace: Duration) -> Self {
        let margin = (grace / 5).min(MOST_MARGIN);
        Self { hand_back_at: now + grace - margin, ..Self::by(now + grace, margin / 2) }
    }

    pub(super) fn at_once(now: Instant) -> Self {
        Self { hand_back_at: now, ..Self::by(now + AT_ONCE, AT_ONCE / 2) }
    }

    fn by(end: Instant, farewell: Duration) -> Self {
        Self { hand_back_at: end, leave_at: end - farewell, farewell }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_fits_into_the_grace() {
        let now = Instant::now();
        for (grace_ms, hand_back_ms, leave_ms) in [(25_000, 20_000, 22_500), (1_000, 800, 900), (0, 0, 0)] {
            let grace = Duration::from_millis(grace_ms);
            let ending = Ending::drain(now, grace);
            assert_eq!((ending.hand_back_at - now).as_millis(), hand_back_ms, "{grace_ms}");
            assert_eq!((ending.leave_at - now).as_millis(), leave_ms, "{grace_ms}");
            assert!(ending.leave_at + ending.farewell <= now + grace, "{grace_ms}");
        }
    }
}
