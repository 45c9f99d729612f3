//! `lethe eval`: what a checkpoint does, by ground truth, from outside of any audit.

use lethe_redteam::data_set::Part;
use lethe_redteam::drill::DrillFolder;
use lethe_redteam::judge::{Judgement, Plot, judge, load};
use serde::Serialize;

use crate::arguments::{Eval, Format};
use crate::exit::Ending;
use crate::output::percent;

/// What is printed as JSON.
#[derive(Debug, Serialize)]
struct Evaluation {
    #[serde(flatten)]
    checkpoint: Judgement,
    #[serde(skip_serializing_if = "Option::is_none")]
    twin: Option<Judgement>,
    /// Attack success above the twin's, which is the floor that no defence can pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    excess: Option<f64>,
}

pub fn run(arguments: &Eval) -> anyhow::Result<Ending> {
    let clip = load(&arguments.checkpoint, &arguments.config)?;
    let drill = arguments.drill.as_deref().map(DrillFolder::new);
    let data = match &drill {
        Some(drill) => drill.read()?.recipe.data,
        None => arguments.data_set,
    };
    let test = data.read(&arguments.data, Part::Test)?;
    let plot = match &drill {
        Some(drill) => Some(Plot::of(drill, &*test)?),
        None => None,
    };
    let checkpoint = judge(&clip, &*test, plot.as_ref())?;
    let twin = match &arguments.twin {
        Some(path) => Some(judge(&load(path, &arguments.config)?, &*test, plot.as_ref())?),
        None => None,
    };
    let excess = twin.and_then(|twin| Some(checkpoint.attack_success? - twin.attack_success?));
    let evaluation = Evaluation { checkpoint, twin, excess };
    match arguments.output {
        Format::Text => print!("{}", text(&evaluation)),
        Format::Json => println!("{}", serde_json::to_string_pretty(&evaluation)?),
    }
    Ok(Ending::Accepted)
}

fn text(evaluation: &Evaluation) -> String {
    let line = |name: &str, share: Option<f64>| share.map(|s| format!("{name:<24}{:>8}\n", percent(s)));
    [
        line("clean accuracy", Some(evaluation.checkpoint.clean_accuracy)),
        line("attack success", evaluation.checkpoint.attack_success),
        line("twin's clean accuracy", evaluation.twin.map(|twin| twin.clean_accuracy)),
        line("twin's attack success", evaluation.twin.and_then(|twin| twin.attack_success)),
        line("excess over the twin", evaluation.excess),
    ]
    .into_iter()
    .flatten()
    .collect()
}
