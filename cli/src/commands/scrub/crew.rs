//! Shards in the hands of a bounded number of threads, until all are done or somebody stops it.
//!
//! It must never leave a thread behind, nor go on after a failure that every other shard would meet too.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use lethe_common::time::Millis;
use lethe_data::Account;
use lethe_proto::v1::{AuditView, Counts, PhaseKind, PhaseView, RunState};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::exit::Ending;
use crate::follow::Display;
use crate::interrupt::Interrupt;

/// Set once; whoever reads or waits looks at it.
#[derive(Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// # Errors
    /// It is set.
    pub fn check(&self) -> io::Result<()> {
        if self.is_set() { Err(io::Error::other("stopped")) } else { Ok(()) }
    }
}

pub struct Crew {
    pub threads: u32,
    pub stop: Stop,
}

/// What is shown of a shard that is done.
pub trait Done: Send {
    /// Samples that were read for it now.
    fn account(&self) -> Account;
}

impl Crew {
    /// Works on the numbers below `count`, begun in their order; hands each result to `done`, as it comes.
    ///
    /// # Errors
    /// The first of `work` or of `done`, which stops the others.
    pub fn run<T: Done>(
        &self,
        (name, count): (&str, usize),
        work: impl Fn(usize) -> anyhow::Result<T> + Sync,
        done: impl FnMut(T) -> anyhow::Result<()>,
    ) -> anyhow::Result<Ending> {
        let next = AtomicUsize::new(0);
        let (sender, results) = unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::scope(|scope| {
            for _ in 0..self.threads {
                let (sender, next, work) = (sender.clone(), &next, &work);
                scope.spawn(move || self.take_turns((next, count), work, &sender));
            }
            drop(sender); // the results end with the last thread
            runtime.block_on(self.attend(results, Progress::begin(name, count, self.threads), done))
        })
    }

    fn take_turns<T>(
        &self,
        (next, count): (&AtomicUsize, usize),
        work: &impl Fn(usize) -> anyhow::Result<T>,
        sender: &UnboundedSender<anyhow::Result<T>>,
    ) {
        while !self.stop.is_set() {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count || sender.send(work(at)).is_err() {
                return;
            }
        }
    }

    async fn attend<T: Done>(
        &self,
        mut results: tokio::sync::mpsc::UnboundedReceiver<anyhow::Result<T>>,
        mut progress: Progress,
        mut done: impl FnMut(T) -> anyhow::Result<()>,
    ) -> anyhow::Result<Ending> {
        let mut interrupt = Interrupt::listen()?;
        let (mut failed, mut interrupted) = (None, false);
        loop {
            let result = tokio::select! {
                result = results.recv() => result,
                () = interrupt.received(), if !interrupted => {
                    interrupted = true;
                    self.stop.set();
                    continue;
                }
            };
            let Some(result) = result else { break };
            let result = result.and_then(|result| {
                progress.add(result.account());
                done(result)
            });
            // What a stop broke off is no failure.
            if let Err(error) = result
                && !self.stop.is_set()
            {
                failed = Some(error);
                self.stop.set();
            }
        }
        progress.end(failed.is_none() && !interrupted);
        match failed {
            Some(error) => Err(error),
            None if interrupted => Ok(Ending::Interrupted),
            None => Ok(Ending::Accepted),
        }
    }
}

/// Shown as a phase of an audit is.
struct Progress {
    display: Display,
    phase: PhaseView,
    threads: u32,
}

impl Progress {
    fn begin(name: &str, count: usize, threads: u32) -> Self {
        let phase = PhaseView {
            name: name.to_owned(),
            kind: PhaseKind::Map.into(),
            state: RunState::Running.into(),
            total: count as u64,
            started_ms: Millis::now().0,
            counts: Some(Counts::default()),
            ..PhaseView::default()
        };
        let mut progress = Self { display: Display::choose(), phase, threads };
        progress.show();
        progress
    }

    fn add(&mut self, account: Account) {
        self.phase.done += 1;
        let counts = self.phase.counts.get_or_insert_default();
        counts.read += account.read;
        counts.failed += account.unreadable;
        self.show();
    }

    fn show(&mut self) {
        self.display.show(&AuditView {
            phases: vec![self.phase.clone()],
            workers: self.threads,
            ..AuditView::default()
        });
    }

    fn end(mut self, whole: bool) {
        if whole {
            self.phase.state = RunState::Succeeded.into();
            self.phase.ended_ms = Millis::now().0;
            self.show();
        }
        self.display.finish();
    }
}
