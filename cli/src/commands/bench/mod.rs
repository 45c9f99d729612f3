//! `lethe bench`: measures what it starts itself.
//!
//! It must never print a figure that it did not measure in this run.

mod collective;
mod control_plane;
mod coordinator;
mod defence;
mod false_alarms;
mod faults;
mod figures;
mod hostile;
mod instructions;
mod load;
mod overhead;
mod pki;
mod prefill;
mod print;
mod proc;
mod ray;
mod score;
mod shared;
mod storage;
mod swarm;

pub use defence::{Ablation, Remedy};

use crate::arguments::{Bench, BenchCommand};
use crate::exit::Ending;

pub fn run(arguments: &Bench) -> anyhow::Result<Ending> {
    match &arguments.command {
        BenchCommand::ControlPlane(bench) => control_plane::run(bench),
        BenchCommand::Collective(bench) => collective::run(bench),
        BenchCommand::Score(bench) => score::run(bench),
        BenchCommand::Defence(bench) => defence::run(bench),
        BenchCommand::FalseAlarms(bench) => false_alarms::run(bench),
        BenchCommand::Hostile(bench) => hostile::run(bench),
        BenchCommand::Swarm(swarm) => swarm::run(swarm),
    }
}
