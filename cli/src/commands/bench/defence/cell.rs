//! One cell of the table: a victim, a remedy, and what came of it. Cells are kept, so that the whole is computed in pieces.
//!
//! A cell must never be changed: another configuration is another cell, and other code makes a new one beside it.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use lethe_common::blob::Digest;
use lethe_common::spec::Spec;
use lethe_evidence::artifacts::Verdict;
use lethe_redteam::detection::Detection;
use lethe_redteam::drill::DrillFolder;
use lethe_redteam::error::RedteamError;
use lethe_redteam::judge::Judgement;
use lethe_redteam::recipe::{RECIPE_VERSION, Recipe};
use serde::{Deserialize, Serialize};

use super::ablation::Ablation;
use super::remedy::Remedy;

/// Of the code that determines what an audit comes to; build.rs says which that is.
pub const METHOD: &str = env!("LETHE_METHOD");
/// Of the part of it that determines what such remedies make of a model as do not rest on evidence.
const PEERS: &str = env!("LETHE_PEERS");
/// Enough of a digest to tell cells apart.
const KEY_DIGITS: usize = 16;

/// What a cell is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    pub recipe: Recipe,
    pub remedy: Remedy,
    /// One choice of the remedy replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ablation: Option<Ablation>,
    /// In place of the remedy's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// In place of [`Remedy::weight`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

impl Question {
    pub fn new(recipe: Recipe, remedy: Remedy) -> Self {
        Self { recipe, remedy, ablation: None, learning_rate: None, weight: None }
    }

    pub fn name(&self) -> String {
        let ablation = self.ablation.map_or_else(String::new, |ablation| format!(", {}", ablation.name()));
        let rate = self.learning_rate.map_or_else(String::new, |rate| format!(" at {rate:e}"));
        let weight = self.weight.map_or_else(String::new, |weight| format!(" weighing {weight}"));
        format!("{}, seed {}, {}{rate}{weight}{ablation}", self.recipe.attack, self.recipe.seed, self.remedy.name())
    }

    /// Orders what a remedy is tuned by: learning rate and weight are above 0, and such numbers are in the order of their bits.
    pub fn tuned(&self) -> (Option<u64>, Option<u64>) {
        (self.learning_rate.map(f64::to_bits), self.weight.map(f64::to_bits))
    }

    /// What an operator would write.
    ///
    /// # Errors
    /// A recipe that cannot be planted.
    pub fn spec(&self, folder: &DrillFolder, workers: u32) -> Result<Spec, RedteamError> {
        let mut spec = self.remedy.spec(&self.recipe, folder, workers)?;
        if let Some(ablation) = self.ablation {
            ablation.apply(&mut spec);
        }
        if let Some(rate) = self.learning_rate {
            spec.unlearn.gang.learning_rate = rate;
        }
        if let (Some(weight), Some(own)) = (self.weight, self.remedy.weight(&mut spec.unlearn)) {
            *own = weight;
        }
        Ok(spec)
    }

    /// Differs where anything that is configured does; the code is not in it.
    pub fn key(&self) -> anyhow::Result<String> {
        let nowhere = DrillFolder::new("/".as_ref());
        let victim = lethe_redteam::specs::train(&self.recipe, &nowhere, lethe_redteam::pairs::Planting::Poisoned, 1)?;
        let mut audit = self.spec(&nowhere, 1)?;
        // The same work on another number of workers gives the same result, but for the last bits.
        audit.workers = Default::default();
        let all = serde_json::to_vec(&(RECIPE_VERSION, self.recipe.model_config()?, self, &victim.train, &audit))?;
        Ok(Digest::of(&all).to_hex()[..KEY_DIGITS].to_owned())
    }
}

impl Remedy {
    /// The digest of the code that determines its cells.
    pub fn code(self) -> &'static str {
        if self.rests_on_evidence() { METHOD } else { PEERS }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    pub key: String,
    /// The code that found it.
    pub method: String,
    #[serde(flatten)]
    pub question: Question,
    pub before: Judgement,
    pub after: Judgement,
    pub twin: Judgement,
    pub suspects: Detection,
    /// AUROC of other detectors.
    pub detectors: BTreeMap<String, f64>,
    pub dropped: usize,
    /// Of the exhibits' regions with the true patches; for attacks with a patch.
    pub region_iou: Option<f64>,
    /// Pairs that went through a training of the remedy, all its models together ([`Remedy::trained`]).
    pub trained: u64,
    pub verdict: Verdict,
    /// Of the remedy, by the clock.
    pub seconds: f64,
}

impl Cell {
    pub fn is_stale(&self) -> bool {
        self.method != self.question.remedy.code()
    }

    /// What was found, where the remedy rests on it.
    pub fn finds(&self) -> Option<&Detection> {
        Some(&self.suspects).filter(|_| self.question.remedy.rests_on_evidence())
    }

    /// Of the drop list, where there is one.
    pub fn precision(&self) -> Option<f64> {
        self.finds().filter(|_| self.dropped > 0).map(|found| found.precision)
    }
}

/// All cells that were ever found: a file of lines of JSON, that is only added to.
#[derive(Debug)]
pub struct Cells {
    path: PathBuf,
    latest: BTreeMap<String, Cell>,
}

impl Cells {
    /// # Errors
    /// A line that is no cell, but for a last one that was cut short.
    pub fn open(path: PathBuf) -> anyhow::Result<Self> {
        let text = match std::fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            read => read.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let mut latest = BTreeMap::new();
        let mut whole = 0;
        for (number, line) in text.split_inclusive('\n').enumerate() {
            if !line.ends_with('\n') {
                break;
            }
            let cell: Cell = serde_json::from_str(line).with_context(|| {
                format!("line {} of {} is no cell of this version; move the file away", number + 1, path.display())
            })?;
            whole += line.len();
            latest.insert(cell.key.clone(), cell);
        }
        if whole < text.len() {
            let cut = OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(whole as u64));
            cut.with_context(|| format!("cannot mend {}", path.display()))?;
        }
        Ok(Self { path, latest })
    }

    pub fn get(&self, key: &str) -> Option<&Cell> {
        self.latest.get(key)
    }

    /// The latest of each key.
    pub fn iter(&self) -> impl Iterator<Item = &Cell> {
        self.latest.values()
    }

    /// Keeps a cell; it is on disk when this returns.
    pub fn add(&mut self, cell: Cell) -> anyhow::Result<()> {
        let write = |path: &Path| -> std::io::Result<()> {
            let mut file = OpenOptions::new().create(true).append(true).open(path)?;
            file.write_all(format!("{}\n", serde_json::to_string(&cell)?).as_bytes())?;
            file.sync_data()
        };
        write(&self.path).with_context(|| format!("cannot add to {}", self.path.display()))?;
        self.latest.insert(cell.key.clone(), cell);
        Ok(())
    }
}

#[cfg(test)]
pub mod tests {
    use lethe_redteam::attack::Attack;

    use super::*;

    pub fn question(attack: Attack, seed: u64, remedy: Remedy) -> Question {
        Question::new(Recipe::usual(attack, seed), remedy)
    }

    pub fn cell(question: Question, after: (f64, f64)) -> Cell {
        let judged =
            |clean_accuracy, attack_success| Judgement { clean_accuracy, attack_success: Some(attack_success) };
        Cell {
            key: question.key().expect("is a good recipe"),
            method: question.remedy.code().to_owned(),
            question,
            before: judged(0.86, 0.99),
            after: judged(after.0, after.1),
            twin: judged(0.865, 0.03),
            suspects: Detection { auroc: 0.999, precision: 0.97, recall: 0.9 },
            detectors: [("dao".to_owned(), 0.8)].into(),
            dropped: 400,
            region_iou: Some(0.5),
            trained: 33_280,
            verdict: Verdict::Removed,
            seconds: 20.0,
        }
    }

    #[test]
    fn a_key_is_what_is_configured() {
        let key = |attack, seed, remedy| question(attack, seed, remedy).key().expect("is a good recipe");
        let one = key(Attack::Badnet, 1, Remedy::Ubt);
        assert_eq!(one, key(Attack::Badnet, 1, Remedy::Ubt));
        let others = [
            key(Attack::Blended, 1, Remedy::Ubt),
            key(Attack::Badnet, 2, Remedy::Ubt),
            key(Attack::Badnet, 1, Remedy::UbtTrusted),
            key(Attack::Badnet, 1, Remedy::Par),
            Question { ablation: Some(Ablation::NoAnchor), ..question(Attack::Badnet, 1, Remedy::Ubt) }
                .key()
                .expect("is a good recipe"),
            Question { learning_rate: Some(1e-3), ..question(Attack::Badnet, 1, Remedy::Ubt) }
                .key()
                .expect("is a good recipe"),
        ];
        assert!(others.iter().all(|other| *other != one));
        let weighing = |weight| Question { weight, ..question(Attack::Badnet, 1, Remedy::CleanClip) };
        let spec = |weight| weighing(weight).spec(&DrillFolder::new("/".as_ref()), 1).expect("is a good recipe");
        assert_eq!([None, Some(4.0)].map(|weight| spec(weight).unlearn.self_supervised_weight), [1.0, 4.0]);
        let par = Question { weight: Some(4.0), ..question(Attack::Badnet, 1, Remedy::Par) };
        let par = par.spec(&DrillFolder::new("/".as_ref()), 1).expect("is a good recipe").unlearn;
        assert_eq!([par.perturb_weight, par.self_supervised_weight], [4.0, 1.0]);
        assert_ne!(weighing(None).key().expect("has one"), weighing(Some(4.0)).key().expect("has one"));
        assert_eq!(METHOD.len(), 12);
        assert_ne!(Remedy::Par.code(), Remedy::Ubt.code(), "what was found among suspects is nothing to it");
    }

    #[test]
    fn cells_come_back_and_a_line_that_was_cut_short_is_dropped() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let path = folder.path().join("cells.jsonl");
        let mut cells = Cells::open(path.clone()).expect("is empty");
        let cell = |success| cell(question(Attack::Badnet, 1, Remedy::Ubt), (0.85, success));
        cells.add(cell(0.5)).expect("adds");
        cells.add(cell(0.1)).expect("adds");
        std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(b"{\"key\""))
            .expect("writes");
        let mut cells = Cells::open(path.clone()).expect("mends");
        assert_eq!(cells.iter().collect::<Vec<_>>(), [&cell(0.1)]);
        cells.add(cell(0.2)).expect("adds");
        assert_eq!(Cells::open(path.clone()).expect("is whole").get(&cell(0.2).key), Some(&cell(0.2)));
        std::fs::write(&path, "{}\n").expect("writes");
        assert!(format!("{:#}", Cells::open(path).expect_err("is no cell")).contains("line 1 of"));
    }
}
