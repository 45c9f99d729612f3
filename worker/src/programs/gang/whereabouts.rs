//! Where this rank is, told while it trains, so that a stalled gang can be blamed on the rank that is behind.
//!
//! It must never be told by the thread that trains, since the one that hangs in a call says nothing more; nor be told
//! again while it is the same, since what a worker says counts as a sign of life.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use lethe_collective::Ledger;

use crate::task::{Tell, Whereabouts};

/// Much shorter than any time-out that a place explains.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// Tells until it is dropped.
pub struct Teller {
    step: Arc<AtomicU64>,
    _end: Sender<()>,
}

impl Teller {
    pub fn start(steps: u64, ledger: Arc<Ledger>, tell: Tell) -> Self {
        let step = Arc::new(AtomicU64::new(0));
        let (end, ended) = channel::<()>();
        let at = Arc::clone(&step);
        std::thread::spawn(move || {
            let mut last = None;
            while ended.recv_timeout(TELL_EVERY) == Err(RecvTimeoutError::Timeout) {
                let step = at.load(Ordering::Relaxed);
                let now = Some(place((step, steps), &ledger));
                // While the ranks agree on where to go on, nobody is at any step.
                if step > 0 && now != last {
                    now.iter().cloned().for_each(|place| tell(place));
                    last = now;
                }
            }
        });
        Self { step, _end: end }
    }

    /// The step that is worked on, from 1.
    pub fn at(&self, step: u64) {
        self.step.store(step, Ordering::Relaxed);
    }
}

fn place((step, steps): (u64, u64), ledger: &Ledger) -> Whereabouts {
    // Not the call it waits for: sums that backward started may be waited for long after, and a rank that stopped in its
    // backward has issued the fewest.
    let call = ledger.last_call();
    Whereabouts {
        step,
        steps,
        call: call.map_or_else(String::new, |call| call.operation.name().to_owned()),
        call_number: call.filter(|call| call.step == step).map_or(0, |call| call.number),
        waits: ledger.waiting().is_some(),
    }
}
