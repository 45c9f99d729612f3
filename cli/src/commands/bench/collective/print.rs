//! What the benchmark found, for people and for programs.
//!
//! It must never print a ratio without what was divided by what.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::figures::{self, setting};
use super::steps::{Round, ddp_median};
use super::{Results, torchrun};

const DEFINITIONS: [(&str, &str); 5] = [
    (
        "step_overhead",
        "processor time of a step of all ranks, over that of as many trainings of one rank with a share of the batch, less 1",
    ),
    (
        "ratio_to_ddp",
        "wall time of a step, over that of DistributedDataParallel in the same round; what its model computes of the last \
         block beyond the pooled token, which nothing reads, is not computed here",
    ),
    (
        "gradient_bytes_over_ring_bound",
        "bytes that a rank wrote in a step, less features and votes, over 2(n-1)/n of the gradient",
    ),
    (
        "recovery_s",
        "from kill -9 of one executor to the first step of a later generation, less one undisturbed step; the median",
    ),
    ("ratio_to_torchrun_recovery", "recovery_s divided by the same of torchrun's elastic restart of the same job"),
];

/// The middle, the least and the most of all rounds of a world size.
fn spread(rounds: &[Round], ranks: u32, of: impl Fn(&Round) -> Option<f64>) -> Option<[f64; 3]> {
    figures::spread(rounds.iter().filter(|round| round.ranks == ranks).filter_map(of))
}

fn worlds(rounds: &[Round]) -> BTreeSet<u32> {
    rounds.iter().map(|round| round.ranks).collect()
}

/// By world size.
fn by_world(rounds: &[Round], of: impl Fn(&Round) -> Option<f64> + Copy) -> BTreeMap<u32, Option<[f64; 3]>> {
    worlds(rounds).into_iter().map(|ranks| (ranks, spread(rounds, ranks, of))).collect()
}

fn step_lines(rounds: &[Round], ranks: u32) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = |what: &str, unit: &str, found: Option<[f64; 3]>| {
        let what = format!("{ranks} ranks, {what}");
        lines.extend(
            found.map(|[middle, least, most]| format!("{what:<44}{middle:.3}{unit} ({least:.3} to {most:.3})")),
        );
    };
    let ddp = |key: &'static str| move |round: &Round| ddp_median(round.ddp.as_ref()?, key);
    line("a step", " s", spread(rounds, ranks, |round| Some(round.lethe.wall_s())));
    line("a step without overlap", " s", spread(rounds, ranks, |round| Some(round.without_overlap.wall_s())));
    line("a step of the computation alone", " s", spread(rounds, ranks, |round| Some(round.computation.wall_s())));
    line("a step of DistributedDataParallel", " s", spread(rounds, ranks, ddp("step_s")));
    line("processor time", " s", spread(rounds, ranks, |round| Some(round.lethe.cpu_s)));
    line("processor time of the computation alone", " s", spread(rounds, ranks, |round| Some(round.computation.cpu_s)));
    line("processor time of DistributedDataParallel", " s", spread(rounds, ranks, ddp("cpu_s")));
    line(
        "rank 0 waits in collectives",
        " s",
        spread(rounds, ranks, |round| Some(round.lethe.collectives.values().map(|calls| calls.waited_s).sum())),
    );
    line("written by a rank", " MB", spread(rounds, ranks, |round| Some(round.lethe.written_bytes / 1e6)));
    line(
        "features and votes given by a rank",
        " MB",
        spread(rounds, ranks, |round| Some(round.lethe.gathered_bytes() / 1e6)),
    );
    line("memory of a rank at most", " GB", spread(rounds, ranks, |round| Some(round.lethe.peak_bytes as f64 / 1e9)));
    line("step_overhead", "", spread(rounds, ranks, |round| Some(round.overhead())));
    line("ratio_to_ddp", "", spread(rounds, ranks, Round::ratio_to_ddp));
    line("gradient_bytes_over_ring_bound", "", spread(rounds, ranks, |round| Some(round.bytes_over_ring())));
    lines
}

fn ratio(results: &Results) -> Option<f64> {
    Some(results.recovery.as_ref()?.median_s / torchrun::median_s(results.torchrun.as_ref()?)?)
}

pub fn json(results: &Results) -> Value {
    json!({
        "step_overhead": by_world(&results.rounds, |round| Some(round.overhead())),
        "ratio_to_ddp": by_world(&results.rounds, Round::ratio_to_ddp),
        "gradient_bytes_over_ring_bound": by_world(&results.rounds, |round| Some(round.bytes_over_ring())),
        "rounds": results.rounds,
        "recovery_s": results.recovery.as_ref().map(|recovery| recovery.median_s),
        "ratio_to_torchrun_recovery": ratio(results),
        "recovery": results.recovery,
        "torchrun": results.torchrun,
        "skipped": results.skipped,
        "setting": setting(),
        "definitions": DEFINITIONS.iter().copied().collect::<std::collections::BTreeMap<_, _>>(),
    })
}

pub fn text(results: &Results) -> String {
    let of_world = |ranks| step_lines(&results.rounds, ranks);
    let mut lines: Vec<String> = worlds(&results.rounds).into_iter().flat_map(of_world).collect();
    if let Some(found) = &results.recovery {
        lines.push(format!(
            "recovery, 1 of {} ranks lost    {:.2} s, the median of {} ({:.2} to {:.2}); a step takes {:.2} s",
            found.ranks, found.median_s, found.losses, found.least_s, found.most_s, found.step_s
        ));
    }
    if let Some(theirs) = results.torchrun.as_ref().and_then(torchrun::median_s) {
        lines.push(format!("torchrun's restart              {theirs:.2} s"));
    }
    if let Some(ratio) = ratio(results) {
        lines.push(format!("against torchrun                {ratio:.2} x"));
    }
    lines.extend(results.skipped.iter().map(|(what, why)| format!("not measured: {what}: {why}")));
    lines.extend(DEFINITIONS.iter().map(|(name, what)| format!("  {name}: {what}")));
    lines.join("\n") + "\n"
}
