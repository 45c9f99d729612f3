//! The plan as a table for people, and as JSON for programs. The field names are a promise: they grow in number alone.
//!
//! It must never compute what it shows.

use serde_json::{Value, json};

use crate::show::count;
use crate::show::table::{Align, Table};

use super::Planned;
use super::measured::Row;
use super::phases::{Phase, Who, total};
use super::sizes::{self, Need};
use super::words::{number, time};

pub fn text(planned: &Planned) -> String {
    let Planned { work, shape, inputs, phases, needs, .. } = planned;
    let head = format!(
        "{} pairs in {} shards, {}, {}",
        count(work.samples as u64),
        count(work.shards as u64),
        shape.name,
        gpus(work.workers)
    );
    let within =
        planned.within.map(|within| format!(": the fewest that end within {}", time(within))).unwrap_or_default();
    format!(
        "{head}{within}\n\n{}\n{}\n\n{}\n{}",
        table(planned, phases),
        hours(planned),
        wants(needs),
        given(&inputs.listed(shape)),
    )
}

fn table(planned: &Planned, phases: &[Phase]) -> String {
    let mut table = Table::new([
        ("PHASE", Align::Left),
        ("GPUS", Align::Right),
        ("TIME", Align::Right),
        ("MOST OF IT", Align::Left),
    ]);
    for phase in phases {
        let at_work = if phase.seconds == 0.0 { 0.0 } else { planned.at_work(phase.who) };
        table.row([phase.name.to_owned(), number(at_work), time(phase.seconds), phase.bound.clone()], Vec::new());
    }
    table.row(["all".to_owned(), String::new(), time(total(phases)), String::new()], Vec::new());
    table.text(None)
}

fn hours(planned: &Planned) -> String {
    let (held, busy) = planned.gpu_hours();
    format!(
        "GPU hours: {} held, {:.0} % of them in phases that use the GPUs",
        number(held.round()),
        100.0 * busy / held
    )
}

fn wants(needs: &[Need]) -> String {
    let mut table = Table::new([("NEEDS", Align::Left), ("BYTES", Align::Right), ("BECAUSE", Align::Left)]);
    for need in needs {
        table.row(sizes::cells(need), Vec::new());
    }
    table.text(None)
}

fn given(inputs: &[[String; 3]]) -> String {
    let mut table = Table::new([("INPUT", Align::Left), ("VALUE", Align::Right), ("FROM", Align::Left)]);
    for row in inputs {
        table.row(row.clone(), Vec::new());
    }
    table.text(None)
}

pub fn json(planned: &Planned) -> Value {
    let Planned { work, shape, inputs, phases, needs, .. } = planned;
    let (held, busy) = planned.gpu_hours();
    let phase = |phase: &Phase| json!({"name": phase.name, "gpus": planned.at_work(phase.who) as u64, "seconds": phase.seconds, "bound": phase.bound});
    json!({
        "samples": work.samples as u64,
        "shards": work.shards as u64,
        "model": shape.name,
        "gpus": work.workers as u64,
        "phases": phases.iter().map(phase).collect::<Vec<_>>(),
        "seconds": total(phases),
        "gpu_hours": {"held": held, "at_work": busy},
        "needs": needs,
        "inputs": inputs.listed(shape).into_iter().map(|[name, value, from]| json!({"name": name, "value": value, "from": from})).collect::<Vec<_>>(),
    })
}

pub fn compared(rows: &[Row]) -> String {
    let mut table = Table::new([
        ("PHASE", Align::Left),
        ("PREDICTED", Align::Right),
        ("MEASURED", Align::Right),
        ("MEASURED / PREDICTED", Align::Right),
    ]);
    for row in rows.iter().chain([&sum(rows)]) {
        let ratio = if row.predicted > 0.0 { format!("{:.2}", row.measured / row.predicted) } else { String::new() };
        table.row([row.phase.clone(), time(row.predicted), time(row.measured), ratio], Vec::new());
    }
    table.text(None)
}

pub fn compared_json(rows: &[Row]) -> Value {
    let all = sum(rows);
    json!({"phases": rows, "predicted": all.predicted, "measured": all.measured})
}

fn sum(rows: &[Row]) -> Row {
    let of = |seconds: fn(&Row) -> f64| rows.iter().map(seconds).sum();
    Row { phase: "all".to_owned(), predicted: of(|row| row.predicted), measured: of(|row| row.measured) }
}

fn gpus(workers: f64) -> String {
    if workers == 1.0 { "1 GPU".to_owned() } else { format!("{} GPUs", count(workers as u64)) }
}

/// GPUs that a phase keeps at work.
impl Planned {
    fn at_work(&self, who: Who) -> f64 {
        match who {
            Who::Coordinator => 0.0,
            Who::Workers => self.work.workers,
            Who::Gang => self.work.gang,
        }
    }

    /// Of all GPUs from begin to end, and of those that have something to do.
    fn gpu_hours(&self) -> (f64, f64) {
        let busy: f64 = self.phases.iter().map(|phase| self.at_work(phase.who) * phase.seconds).sum();
        (self.work.workers * total(&self.phases) / 3_600.0, busy / 3_600.0)
    }
}
