//! One simulated worker: an agent that runs one task and queues others, and goes on when its session breaks.
//!
//! It must never know more than a real one: what it was sent, and the time.

use std::collections::VecDeque;

use lethe_common::ids::{Attempt, AuditId, PhaseIndex, ShardId, TaskId};
use lethe_common::time::Millis;
use lethe_engine::Profile;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::jobs::KINDS;

/// The batch of a worker that was told of no halving.
const BATCH: u32 = 64;

/// ```text
///   Down --restart--> Up, no session --dial--> Up, with a session
///    ^ crash, drained       ^ broken session, new leader |
///    +----------------------+----------------------------+
/// ```
#[derive(Debug)]
pub struct SimWorker {
    pub profile: Profile,
    /// The largest batch its device holds.
    pub memory: u32,
    pub lies: bool,
    pub up: bool,
    /// It stays down until then.
    pub away_until: Millis,
    pub draining: bool,
    /// The session with the current leader; a number of its own for each dial.
    pub session: Option<u64>,
    /// The first runs, the others wait.
    pub queue: VecDeque<Run>,
}

#[derive(Debug, Clone)]
pub struct Run {
    pub task: TaskId,
    /// A gang's size; nothing for a map task.
    pub world_size: Option<u32>,
    /// A gang's last step that it wrote a checkpoint of, or began with.
    pub step: u64,
    pub batch_halvings: u32,
    pub takes_ms: u64,
    /// Set when it comes first.
    pub began: Option<Millis>,
    /// It will neither end nor show a sign of life.
    pub hangs: bool,
    /// Nobody wants it any more and it goes on; at least it will end.
    pub deaf: bool,
}

impl SimWorker {
    pub fn draw(rng: &mut ChaCha8Rng) -> Self {
        let (kind, memory) = [(KINDS[0], BATCH), (KINDS[1], 1)][usize::from(rng.random_bool(0.4))];
        let profile = Profile { kind: kind.to_owned(), host: "here".to_owned(), slots: rng.random_range(1..=3) };
        let queue = VecDeque::new();
        Self { profile, memory, lies: false, up: false, away_until: Millis(0), draining: false, session: None, queue }
    }

    pub fn crash(&mut self) {
        (self.up, self.draining, self.session) = (false, false, None);
        self.queue.clear();
    }

    /// What it goes on with under a new session: at most map tasks that still run.
    pub fn rejoin(&mut self, forgets: bool) {
        self.queue.retain(|run| !forgets && run.world_size.is_none() && !run.hangs);
        self.queue.iter_mut().for_each(|run| run.deaf = true);
    }

    pub fn front(&self) -> Option<&Run> {
        self.queue.front()
    }
}

impl Run {
    /// What all members of one generation share.
    pub fn gang(&self) -> (AuditId, PhaseIndex, Attempt) {
        (self.task.audit.clone(), self.task.phase, self.task.attempt)
    }

    pub fn new(task: TaskId, world_size: Option<u32>, batch_halvings: u32, takes_ms: u64) -> Self {
        Self { task, world_size, step: 0, batch_halvings, takes_ms, began: None, hangs: false, deaf: false }
    }

    pub fn key(&self) -> (AuditId, PhaseIndex, ShardId) {
        (self.task.audit.clone(), self.task.phase, self.task.shard)
    }

    pub fn batch(&self) -> u32 {
        BATCH >> self.batch_halvings
    }
}
