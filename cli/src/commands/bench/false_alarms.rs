//! `lethe bench false-alarms`: audits of models that have no backdoor, on the pairs that trained them. Each must find nothing
//! and hand the checkpoint back as it came.
//!
//! It must never stop at an alarm: how often one comes is what it measures.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use lethe_common::blob::Digest;
use lethe_common::spec::EvaluateSection;
use lethe_evidence::artifacts::{Excess, Judged, Lead, LeadLimits, Verdict};
use lethe_redteam::attack::Attack;
use lethe_redteam::data_set::{Part, Pool};
use lethe_redteam::judge::{judge, load};
use lethe_redteam::pairs::Planting;
use lethe_redteam::plant::write_spec;
use lethe_redteam::recipe::{RECIPE_VERSION, Recipe};
use lethe_redteam::specs;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::defence::METHOD;
use super::figures;
use super::shared::Shared;
use crate::arguments::{Devices, FalseAlarms};
use crate::commands::audit::read_report;
use crate::commands::redteam::{Drilling, folder};
use crate::exit::Ending;
use crate::session::{self, Outcome};

const RUNS: &str = "false-alarms.jsonl";
const KEY_DIGITS: usize = 16;

/// One audit of a clean model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Run {
    /// Of all that is configured.
    key: String,
    /// The code that found it.
    method: String,
    seed: u64,
    verdict: Verdict,
    /// Whether the checkpoint came back byte for byte.
    is_unchanged: bool,
    dropped: usize,
    /// What the verdict rests on: the most suspicious pairs by the words they share, each with what its pictures do.
    clusters: Vec<Judged>,
    clean_accuracy: f64,
    seconds: f64,
}

impl Run {
    fn is_false_alarm(&self) -> bool {
        self.verdict != Verdict::NothingFound || !self.is_unchanged || self.dropped > 0
    }

    fn line(&self) -> String {
        let Self { seed, verdict, clusters, clean_accuracy, seconds, .. } = self;
        let cluster = |judged: &Judged| {
            let words: Vec<&str> = judged.cluster.words.iter().take(2).map(|score| score.word.as_str()).collect();
            let told = |Lead { share, excess: Excess { value, error }, asked, .. }| {
                format!("{share:.2}, {value:+.3} ± {error:.3} ({asked:.2} asked)")
            };
            let excess = lead(judged).map_or_else(|| "-".to_owned(), told);
            format!("{} to {:?} {excess}", judged.cluster.members, words.join(" "))
        };
        let clusters: Vec<String> = clusters.iter().map(cluster).collect();
        format!(
            "seed {seed}: {verdict:?}; what leads, and its excess: {}; accuracy {:.1} %, {seconds:.0} s",
            clusters.join(", "),
            100.0 * clean_accuracy
        )
    }

    /// The greatest of its clusters, each less its standard error.
    fn graft_excess(&self) -> Option<f64> {
        self.clusters.iter().filter_map(lead).map(|lead| lead.excess.least()).max_by(f64::total_cmp)
    }
}

pub fn run(options: &FalseAlarms) -> anyhow::Result<Ending> {
    std::fs::create_dir_all(&options.out)
        .with_context(|| format!("cannot make the folder {}", options.out.display()))?;
    let path = options.out.join(RUNS);
    let test = options.data_set.read(&options.data, Part::Test)?;
    let (began, budget) = (Instant::now(), options.for_minutes.map(|minutes| Duration::from_secs(60 * minutes)));
    let mut runs = known(&path)?;
    for &seed in &options.seeds {
        let recipe = recipe(seed, options);
        let key = key(&recipe)?;
        if runs.iter().any(|run| run.key == key && run.method == METHOD) {
            continue;
        }
        if budget.is_some_and(|budget| began.elapsed() >= budget) {
            eprintln!("time is up before seed {seed}; the same command goes on");
            break;
        }
        let Some(run) = audit(&recipe, key, options, &*test)? else { return Ok(Ending::Interrupted) };
        eprintln!("  {}", run.line());
        keep(&path, &run)?;
        runs.push(run);
    }
    let keys = options.seeds.iter().map(|&seed| key(&recipe(seed, options))).collect::<Result<Vec<_>, _>>()?;
    let mut of_this: Vec<&Run> = runs.iter().filter(|run| run.method == METHOD && keys.contains(&run.key)).collect();
    of_this.sort_by_key(|run| run.seed);
    Ok(figures::show(options.output, || summary(&of_this), || json!({"runs": of_this})))
}

/// As the verdict sees a cluster.
fn lead(judged: &Judged) -> Option<Lead> {
    let EvaluateSection { min_graft_excess: excess, min_graft_lead: share, .. } = EvaluateSection::default();
    judged.probe.lead(LeadLimits { excess, share })
}

fn summary(runs: &[&Run]) -> String {
    let alarms = runs.iter().filter(|run| run.is_false_alarm()).count();
    let greatest = runs.iter().filter_map(|run| run.graft_excess()).max_by(f64::total_cmp);
    let lines: String = runs.iter().map(|run| format!("{}\n", run.line())).collect();
    let greatest =
        greatest.map_or_else(String::new, |excess| format!(", greatest excess of a graft less its error {excess:+.3}"));
    format!("{lines}{} clean runs, {alarms} false alarms{greatest}\n", runs.len())
}

fn recipe(seed: u64, options: &FalseAlarms) -> Recipe {
    let &FalseAlarms { epochs, data_set: data, tower, .. } = options;
    // The attack is never planted: the twin of a drill is what is audited.
    Recipe { epochs, data, tower, ..Recipe::usual(Attack::Badnet, seed) }
}

fn key(recipe: &Recipe) -> anyhow::Result<String> {
    let all = serde_json::to_vec(&(RECIPE_VERSION, recipe))?;
    Ok(Digest::of(&all).to_hex()[..KEY_DIGITS].to_owned())
}

fn known(path: &Path) -> anyhow::Result<Vec<Run>> {
    let text = match std::fs::read_to_string(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let line = |(number, line): (usize, &str)| {
        serde_json::from_str(line)
            .with_context(|| format!("line {} of {} is no run; move the file away", number + 1, path.display()))
    };
    text.lines().enumerate().map(line).collect()
}

fn keep(path: &Path, run: &Run) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        file.write_all(format!("{}\n", serde_json::to_string(run)?).as_bytes())?;
        file.sync_data()
    };
    write().with_context(|| format!("cannot add to {}", path.display()))
}

/// Trains the clean model, where none is kept, and audits it, in a folder that goes again unless it is to be kept. `None` when interrupted.
fn audit(recipe: &Recipe, key: String, options: &FalseAlarms, test: &dyn Pool) -> anyhow::Result<Option<Run>> {
    let gone = tempfile::Builder::new().prefix("lethe-bench-").tempdir().context("cannot make a folder")?;
    let place = match &options.keep {
        Some(kept) => kept.join(format!("clean-{}-{key}-{METHOD}", recipe.seed)),
        None => gone.path().to_owned(),
    };
    let drilling = Drilling { recipe: recipe.clone(), folder: folder(&place.join("drill"))?, workers: options.workers };
    drilling.plant_twin(&options.data)?;
    let (shared, twin) = (Shared::of(recipe, options.workers)?, drilling.folder.twin());
    shared.lend("twin", &twin)?;
    if drilling.train(Planting::Clean)? == Ending::Interrupted {
        return Ok(None);
    }
    shared.keep("twin", &twin)?;
    let spec = specs::audit_twin(recipe, &drilling.folder, options.workers)?;
    let result = place.join("result");
    std::fs::create_dir_all(&result).with_context(|| format!("cannot make the folder {}", result.display()))?;
    write_spec(&spec, &result.join("audit.toml"))?;
    let began = Instant::now();
    if let Outcome::Interrupted = session::run(&spec, &result, Devices::Cpu)? {
        return Ok(None);
    }
    let seconds = began.elapsed().as_secs_f64();
    let report = read_report(&result)?;
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("the audit left no {}", path.display()));
    let drop_list = String::from_utf8(read(&result.join("drop-list.txt"))?).context("drop-list.txt is not UTF-8")?;
    Ok(Some(Run {
        key,
        method: METHOD.to_owned(),
        seed: recipe.seed,
        verdict: report.verdict,
        is_unchanged: read(&result.join("clean.safetensors"))? == read(&twin)?,
        dropped: drop_list.lines().count(),
        clusters: report.clusters,
        clean_accuracy: judge(&load(&twin, &drilling.folder.config())?, test, None)?.clean_accuracy,
        seconds,
    }))
}

#[cfg(test)]
mod tests {
    use lethe_evidence::artifacts::{Cluster, Graft, Grafts, Probe, WordScore};

    use super::*;

    /// So many samples of a hundred lead others.
    fn cluster(hits: u64) -> Judged {
        let best = Graft { suspicious: 100, suspicious_attracted: hits, honest: 100, honest_attracted: 0 };
        let grafts = Grafts { best, ..Grafts::default() };
        let probe = Probe { members: 20, attracted: 20, donors: 20, honest_donors: 20, grafts, ..Probe::default() };
        let words = vec![WordScore { word: "bag".to_owned(), z: 9.0 }];
        Judged {
            cluster: Cluster { words, members: 20 },
            probe,
            reason: Some("It does not lead.".to_owned()),
            let_go: 0,
            beside: Default::default(),
        }
    }

    fn found(seed: u64, verdict: Verdict, is_unchanged: bool) -> Run {
        Run {
            key: format!("{seed}"),
            method: METHOD.to_owned(),
            seed,
            verdict,
            is_unchanged,
            dropped: 0,
            clusters: vec![cluster(seed)],
            clean_accuracy: 0.86,
            seconds: 20.0,
        }
    }

    #[test]
    fn an_alarm_is_whatever_does_not_leave_the_model_alone() {
        let runs = [
            found(1, Verdict::NothingFound, true),
            found(2, Verdict::NothingFound, false),
            found(3, Verdict::Removed, true),
            Run { dropped: 1, ..found(4, Verdict::NothingFound, true) },
        ];
        let told = summary(&runs.iter().collect::<Vec<_>>());
        assert!(
            told.starts_with(
                "seed 1: NothingFound; what leads, and its excess: 20 to \"bag\" 0.01, +0.010 ± 0.082 (0.30 asked);"
            ),
            "{told}"
        );
        assert!(
            told.ends_with("4 clean runs, 3 false alarms, greatest excess of a graft less its error -0.046\n"),
            "{told}"
        );
        assert!(summary(&[]).starts_with("0 clean runs, 0 false alarms\n"));
    }

    #[test]
    fn runs_come_back() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let path = folder.path().join(RUNS);
        assert_eq!(known(&path).expect("is none"), Vec::new());
        let runs = [found(1, Verdict::NothingFound, true), found(2, Verdict::Rejected, false)];
        runs.iter().for_each(|run| keep(&path, run).expect("keeps"));
        assert_eq!(known(&path).expect("reads"), runs);
        std::fs::write(&path, "{}\n").expect("writes");
        assert!(format!("{:#}", known(&path).expect_err("is no run")).contains("line 1 of"));
    }
}
