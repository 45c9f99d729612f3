//! `lethe bench defence`: every attack against every remedy, the same victims for all.
//!
//! The truth is read before a remedy starts and after it ended, never in between; a cell that is found is kept. A cell that
//! fails is told at the end and must never stop the others.

mod ablation;
mod cell;
mod document;
mod page;
mod remedy;
mod setting;
mod table;
mod variants;
mod victim;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::ValueEnum;
use lethe_redteam::data_set::{Part, Pool};
use lethe_redteam::drill::DrillFolder;
use lethe_redteam::pairs::Planting;
use lethe_redteam::plant::write_spec;
use lethe_redteam::specs;
use serde_json::json;

use super::figures;
use crate::arguments::{Defence, Devices};
use crate::commands::audit::read_report;
use crate::commands::demo::detect;
use crate::commands::scrub;
use crate::exit::{Ending, bad_input};
use crate::session::{self, Outcome};

pub use ablation::Ablation;
pub use cell::METHOD;
use cell::{Cell, Cells, Question};
pub use remedy::Remedy;
use victim::Victim;

const CELLS: &str = "defence-cells.jsonl";

pub fn run(options: &Defence) -> anyhow::Result<Ending> {
    std::fs::create_dir_all(&options.out)
        .with_context(|| format!("cannot make the folder {}", options.out.display()))?;
    let mut cells = Cells::open(options.out.join(CELLS))?;
    let test = options.data_set.read(&options.data, Part::Test)?;
    let wanted = questions(options);
    if wanted.is_empty() {
        return Err(bad_input(
            "no cell is asked for: of the remedies clean-clip and par have a weight, and retrain is not tuned",
        ));
    }
    let keys: BTreeSet<String> = wanted.iter().map(Question::key).collect::<Result<_, _>>()?;
    let due = due(&wanted, &cells, options.again)?;
    eprintln!("cells: {} wanted, {} to compute; code {METHOD}", wanted.len(), due.len());
    let began = Instant::now();
    let budget = options.for_minutes.map(|minutes| Duration::from_secs(60 * minutes));
    let mut failures = Failures::default();
    for (number, question) in due.iter().enumerate() {
        if budget.is_some_and(|budget| began.elapsed() >= budget) {
            eprintln!("time is up: {} cells are left; the same command goes on", due.len() - number);
            break;
        }
        eprintln!("cell {} of {}: {}", number + 1, due.len(), question.name());
        match answer(question, options, &*test) {
            Ok(Some(cell)) => {
                eprintln!("{}", table::line(&cell));
                cells.add(cell)?;
                write(options, &cells, &keys)?;
            }
            Ok(None) => return failures.or(Ending::Interrupted),
            Err(error) => failures.add(question, &error),
        }
    }
    let table = write(options, &cells, &keys)?;
    figures::show(options.output, || table, || json!({"cells": table::sorted(&cells, &keys)}));
    failures.or(Ending::Accepted)
}

/// The table of what is there on disk; gives that of the cells that are asked for as text.
fn write(options: &Defence, cells: &Cells, keys: &BTreeSet<String>) -> anyhow::Result<String> {
    let wanted = table::sorted(cells, keys);
    match options {
        Defence { ablations: Some(_), .. } => variants::write_ablations(&options.out, &wanted),
        _ if is_tuned(options) => variants::write_tuning(&options.out, &wanted),
        _ => table::write(&options.out, cells, &wanted),
    }
}

/// The cells that failed, each with its error.
#[derive(Debug, Default)]
struct Failures(Vec<String>);

impl Failures {
    fn add(&mut self, question: &Question, error: &anyhow::Error) {
        let failure = format!("{}: {error:#}", question.name());
        eprintln!("  failed: {failure}");
        self.0.push(failure);
    }

    /// How the bench ends: well where nothing failed.
    fn or(self, ending: Ending) -> anyhow::Result<Ending> {
        if self.0.is_empty() {
            return Ok(ending);
        }
        anyhow::bail!(
            "{} of the cells failed; the same command tries them again:\n  {}",
            self.0.len(),
            self.0.join("\n  ")
        )
    }
}

/// Seed by seed, so that what is there after any time is a whole table of fewer seeds.
fn questions(options: &Defence) -> Vec<Question> {
    let mut all = Vec::new();
    for &seed in &options.seeds {
        for &attack in &options.attacks {
            let recipe = victim::recipe((attack, seed), options);
            if let Some(asked) = options.ablations.as_deref() {
                let replaced = if asked.is_empty() { Ablation::value_variants() } else { asked };
                let replaced = std::iter::once(None).chain(replaced.iter().copied().map(Some));
                let usual = Question::new(recipe, Remedy::Ubt);
                all.extend(replaced.map(|ablation| Question { ablation, ..usual.clone() }));
                continue;
            }
            for usual in options.remedies.iter().map(|&remedy| Question::new(recipe.clone(), remedy)) {
                if usual.remedy == Remedy::Retrain && is_tuned(options) {
                    continue; // its training is the victim's own
                }
                if !options.weights.is_empty() && !usual.remedy.has_weight() {
                    continue;
                }
                let rates: Vec<Option<f64>> = match options.learning_rates.as_slice() {
                    [] => vec![None],
                    asked => asked.iter().copied().map(Some).collect(),
                };
                for learning_rate in rates {
                    let weights = std::iter::once(None).chain(options.weights.iter().copied().map(Some));
                    all.extend(weights.map(|weight| Question { learning_rate, weight, ..usual.clone() }));
                }
            }
        }
    }
    all
}

fn is_tuned(options: &Defence) -> bool {
    !options.learning_rates.is_empty() || !options.weights.is_empty()
}

/// What is missing, and then what other code found, where that is asked for.
fn due(wanted: &[Question], cells: &Cells, again: bool) -> anyhow::Result<Vec<Question>> {
    let (mut missing, mut stale) = (Vec::new(), Vec::new());
    for question in wanted {
        match cells.get(&question.key()?) {
            None => missing.push(question.clone()),
            Some(cell) if again && cell.is_stale() => stale.push(question.clone()),
            Some(_) => {}
        }
    }
    missing.append(&mut stale);
    Ok(missing)
}

/// `None` when interrupted.
fn answer(question: &Question, options: &Defence, test: &dyn Pool) -> anyhow::Result<Option<Cell>> {
    let Question { recipe, remedy, .. } = question;
    let prepared = Victim::prepare(recipe, (&options.data, test), *remedy, options.workers)?;
    let Some(victim) = prepared else { return Ok(None) };
    let folder = &victim.drilling.folder;
    let spec = question.spec(folder, options.workers)?;
    let result = tempfile::Builder::new().prefix("lethe-bench-").tempdir().context("cannot make a folder")?;
    write_spec(&spec, &result.path().join("audit.toml"))?;
    let began = Instant::now();
    if let Outcome::Interrupted = session::run(&spec, result.path(), Devices::Cpu)? {
        return Ok(None);
    }
    let handed_back = match remedy {
        Remedy::Retrain => {
            let Some(retrained) = retrain(question, (folder, result.path()), options.workers)? else { return Ok(None) };
            retrained
        }
        _ => checkpoint(result.path())?,
    };
    let seconds = began.elapsed().as_secs_f64();
    let detected = detect(&victim.drill, result.path())?;
    Ok(Some(Cell {
        key: question.key()?,
        method: remedy.code().to_owned(),
        question: question.clone(),
        before: victim.before,
        after: victim.judge(&handed_back, test)?,
        twin: victim.twin,
        suspects: detected.suspects,
        detectors: detected.others,
        dropped: detected.flagged,
        region_iou: detected.region_iou,
        trained: remedy.trained(&spec, recipe)?,
        verdict: read_report(result.path())?.verdict,
        seconds,
    }))
}

/// A model that is trained as the victim was, on its shards without what the audit in `result` drops. `None` when interrupted.
fn retrain(
    question: &Question,
    (folder, result): (&DrillFolder, &Path),
    workers: u32,
) -> anyhow::Result<Option<PathBuf>> {
    let (clean, out) = (result.join("clean-shards"), result.join("retrained"));
    if scrub::quietly(result, &clean)? == Ending::Interrupted {
        return Ok(None);
    }
    let mut spec = specs::train(&question.recipe, folder, Planting::Poisoned, workers)?;
    let (given, clean) = (folder.shards(), clean.to_string_lossy().into_owned());
    for pattern in &mut spec.data.shards {
        *pattern = pattern.replace(given.to_string_lossy().as_ref(), &clean);
    }
    match session::run(&spec, &out, Devices::Cpu)? {
        Outcome::Interrupted => Ok(None),
        Outcome::Done(_) => Ok(Some(out.join("model.safetensors"))),
    }
}

/// What a remedy hands back: a clean checkpoint, whatever its verdict.
fn checkpoint(result: &Path) -> anyhow::Result<PathBuf> {
    let clean = result.join("clean.safetensors");
    anyhow::ensure!(clean.is_file(), "the remedy left no {}", clean.display());
    Ok(clean)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use lethe_redteam::attack::Attack;
    use lethe_redteam::data_set::DataSet;
    use lethe_redteam::recipe::{Recipe, Start, Tower};

    use super::cell::tests::question;
    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        defence: Defence,
    }

    fn all(options: &str) -> Vec<Question> {
        let words = ["bench", "--data", "d", "--seeds", "1", "--attacks", "badnet"].into_iter();
        questions(&Command::parse_from(words.chain(options.split(' '))).defence)
    }

    fn asked(options: &str) -> Vec<(Remedy, Option<f64>, Option<f64>)> {
        all(options).into_iter().map(|one| (one.remedy, one.learning_rate, one.weight)).collect()
    }

    #[test]
    fn victims_are_of_the_setting_that_is_asked_for() {
        let recipe = |options: &str| all(&format!("--remedies ubt {options}")).remove(0).recipe;
        let usual = recipe("--workers 2");
        assert_eq!((usual.start, usual.rate, usual.epochs), (Start::Scratch, 0.02, 12));
        assert_eq!(recipe("--from-public"), Recipe { start: Start::Public, ..usual.clone() });
        assert_eq!(recipe("--rate 0.005 --epochs 4"), Recipe { rate: 0.005, epochs: 4, ..usual.clone() });
        let drawings = Recipe { data: DataSet::Drawings, tower: Tower::Resnet, ..usual };
        assert_eq!(recipe("--data-set drawings --tower resnet"), drawings);
    }

    #[test]
    fn weights_are_tried_beside_a_remedys_own_and_rates_in_its_place() {
        let remedies = "--remedies fine-tune,par,retrain";
        assert_eq!(asked(remedies).len(), 3);
        assert_eq!(
            asked(&format!("{remedies} --learning-rates 0.1,0.2")),
            [Remedy::FineTune, Remedy::Par].map(|remedy| [0.1, 0.2].map(|rate| (remedy, Some(rate), None))).concat()
        );
        let par = |rate, weight| (Remedy::Par, rate, weight);
        assert_eq!(asked(&format!("{remedies} --weights 4")), [par(None, None), par(None, Some(4.0))]);
        assert_eq!(
            asked(&format!("{remedies} --weights 4 --learning-rates 0.1")),
            [par(Some(0.1), None), par(Some(0.1), Some(4.0))]
        );
        assert!(asked("--remedies fine-tune --weights 4").is_empty());
    }

    #[test]
    fn failed_cells_are_told_with_their_errors_at_the_end() {
        assert_eq!(Failures::default().or(Ending::Accepted).expect("nothing failed"), Ending::Accepted);
        let mut failures = Failures::default();
        for remedy in [Remedy::Ubt, Remedy::CleanClip] {
            let error = anyhow::anyhow!("no space left").context("cannot write");
            failures.add(&question(Attack::Badnet, 3, remedy), &error);
        }
        let told = failures.or(Ending::Accepted).expect_err("the bench fails").to_string();
        assert!(told.starts_with("2 of the cells failed"), "{told}");
        assert!(told.contains("badnet, seed 3, clean-clip: cannot write: no space left"), "{told}");
    }
}
