//! `lethe bench defence`: every attack against every remedy, the same victims for all.
//!
//! The truth is read before a remedy starts and after it ended, never in between; a cell that is found is kept.

mod cell;
mod remedy;
mod table;
mod victim;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use lethe_redteam::data_set::{Part, Pool};
use lethe_redteam::plant::write_spec;

use crate::arguments::{Defence, Devices};
use crate::commands::audit::read_report;
use crate::commands::demo::detect;
use crate::exit::Ending;
use crate::session::{self, Outcome};

use cell::{Cell, Cells, METHOD, Question};
pub use remedy::Remedy;
use victim::Victim;

const CELLS: &str = "defence-cells.jsonl";

pub fn run(options: &Defence) -> anyhow::Result<Ending> {
    std::fs::create_dir_all(&options.out)
        .with_context(|| format!("cannot make the folder {}", options.out.display()))?;
    let mut cells = Cells::open(options.out.join(CELLS))?;
    let test = options.data_set.read(&options.data, Part::Test)?;
    let wanted = questions(options);
    let keys: BTreeSet<String> = wanted.iter().map(Question::key).collect::<Result<_, _>>()?;
    let due = due(&wanted, &cells, options.again)?;
    eprintln!("cells: {} wanted, {} to compute; code {METHOD}", wanted.len(), due.len());
    let began = Instant::now();
    let budget = options.for_minutes.map(|minutes| Duration::from_secs(60 * minutes));
    for (number, question) in due.iter().enumerate() {
        if budget.is_some_and(|budget| began.elapsed() >= budget) {
            eprintln!("time is up: {} cells are left; the same command goes on", due.len() - number);
            break;
        }
        let Question { recipe, remedy } = question;
        eprintln!("cell {} of {}: {}, seed {}, {}", number + 1, due.len(), recipe.attack, recipe.seed, remedy.name());
        let Some(cell) = answer(question, options, &*test)? else { return Ok(Ending::Interrupted) };
        eprintln!("{}", table::line(&cell));
        cells.add(cell)?;
        table::write(&options.out, &cells, &keys)?;
    }
    table::write(&options.out, &cells, &keys)?;
    print!("{}", table::markdown(&cells, &keys));
    Ok(Ending::Accepted)
}

/// Seed by seed, so that what is there after any time is a whole table of fewer seeds.
fn questions(options: &Defence) -> Vec<Question> {
    let mut all = Vec::new();
    for &seed in &options.seeds {
        for &attack in &options.attacks {
            let recipe = victim::recipe((attack, seed), options);
            all.extend(options.remedies.iter().map(|&remedy| Question { recipe: recipe.clone(), remedy }));
        }
    }
    all
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
    let Question { recipe, remedy } = question;
    let prepared = Victim::prepare(recipe, (&options.data, test), remedy.needs_public(), options.workers)?;
    let Some(victim) = prepared else { return Ok(None) };
    let folder = &victim.drilling.folder;
    let spec = remedy.spec(recipe, folder, options.workers)?;
    let result = tempfile::Builder::new().prefix("lethe-bench-").tempdir().context("cannot make a folder")?;
    write_spec(&spec, &result.path().join("audit.toml"))?;
    let began = Instant::now();
    if let Outcome::Interrupted = session::run(&spec, result.path(), Devices::Cpu)? {
        return Ok(None);
    }
    let seconds = began.elapsed().as_secs_f64();
    let (suspects, flagged) = detect(&victim.drill, result.path())?;
    Ok(Some(Cell {
        key: question.key()?,
        method: METHOD.to_owned(),
        question: question.clone(),
        before: victim.before,
        after: victim.judge(&checkpoint(result.path())?, test)?,
        twin: victim.twin,
        suspects,
        dropped: flagged.len(),
        trained: remedy.trained(&spec),
        verdict: read_report(result.path())?.verdict,
        seconds,
    }))
}

/// What a remedy hands back: a clean checkpoint, whatever its verdict.
fn checkpoint(result: &Path) -> anyhow::Result<PathBuf> {
    let clean = result.join("clean.safetensors");
    anyhow::ensure!(clean.is_file(), "the remedy left no {}", clean.display());
    Ok(clean)
}
