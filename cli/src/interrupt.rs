//! Ctrl-C or SIGTERM, as something to wait for.
//!
//! It must never end the process itself: who waits decides what is left in order.

use tokio::signal::unix::{Signal, SignalKind, signal};

pub struct Interrupt {
    keyboard: Signal,
    termination: Signal,
}

impl Interrupt {
    pub fn listen() -> anyhow::Result<Self> {
        Ok(Self { keyboard: signal(SignalKind::interrupt())?, termination: signal(SignalKind::terminate())? })
    }

    pub async fn received(&mut self) {
        tokio::select! {
            _ = self.keyboard.recv() => {}
            _ = self.termination.recv() => {}
        }
    }
}
