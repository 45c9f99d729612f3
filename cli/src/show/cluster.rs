//! The coordinators as one thing: who leads, since which election, on which store, with which waits.
//!
//! It must never order the waits otherwise than by length: their order is what operators check.

use std::time::Duration;

use lethe_proto::v1::{ClusterReply, Knob};

use super::table::{Align, Table};
use super::words::plain;
use crate::follow::phase::spoken;

pub fn cluster(cluster: &ClusterReply) -> String {
    let lines = [
        ("leader", plain(&cluster.leader)),
        ("term", cluster.term.to_string()),
        ("release", plain(&cluster.release)),
        ("store", plain(&cluster.store)),
    ];
    let head: String = lines.iter().map(|(name, value)| format!("{name:<9}{value}\n")).collect();
    if cluster.knobs.is_empty() { head } else { format!("{head}\n{}", knobs(&cluster.knobs)) }
}

fn knobs(knobs: &[Knob]) -> String {
    let mut table = Table::new([("WAIT", Align::Left), ("TIME", Align::Right)]);
    for knob in ascending(knobs) {
        table.row([plain(&knob.name), spoken(Duration::from_millis(knob.ms))], Vec::new());
    }
    table.text(None)
}

/// By length; where two are equal, as the coordinator said.
pub fn ascending(knobs: &[Knob]) -> Vec<&Knob> {
    let mut sorted: Vec<&Knob> = knobs.iter().collect();
    sorted.sort_by_key(|knob| knob.ms);
    sorted
}
