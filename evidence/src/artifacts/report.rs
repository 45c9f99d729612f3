//! The report for machines; the page for people shows the same and more.

use lethe_common::earlier::SinceEarlier;
use serde::{Deserialize, Serialize};

use super::samples::{BadSamples, SampleCounts};
use super::select::{Judged, WordScore};
use crate::ranking::wilson;

/// Standard deviations to either side of a 95 % interval.
const Z_95: f64 = 1.96;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub audit: String,
    pub verdict: Verdict,
    pub found: Found,
    pub handed_back: HandedBack,
    /// One line in plain words.
    pub headline: String,
    /// Why the verdict is what it is, one sentence each.
    pub reasons: Vec<String>,
    pub shards: u64,
    pub data_bytes: u64,
    pub samples: SampleCounts,
    pub suspects: u64,
    pub forget: u64,
    pub held_out: u64,
    /// The share of held-out members of the forget set whose image points at the backdoor's caption.
    pub attraction_before: Interval,
    pub attraction_after: Interval,
    /// The forget set's clusters, each with what its pictures and parts of them do by the suspect model.
    pub clusters: Vec<Judged>,
    /// The share of held-out safe pairs whose own caption is in the tenth that their image prefers.
    pub retrieval_before: Interval,
    pub retrieval_after: Interval,
    /// The relative fall of retrieval; below 0 where it rose.
    pub retrieval_loss: f64,
    /// Mean of one minus the cosine between safe images' embeddings before and after.
    pub mean_drift: f64,
    /// Words that gave the backdoor away, then the next in line.
    pub words: Vec<WordScore>,
    pub other_words: Vec<WordScore>,
    pub histograms: Vec<Histogram>,
    pub phases: Vec<PhaseSeconds>,
    /// What the suspect model was compared with.
    pub compared_with: String,
    pub bad: BadSamples,
    /// What people had said of suspects, where they had; what is dropped and forgotten holds to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks: Option<MarkCounts>,
    /// Where the spec names an earlier audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<SinceEarlier>,
}

/// Suspects that people marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkCounts {
    pub poison: u64,
    pub clean: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// What was found is gone, at a price within the limits.
    Removed,
    /// The most suspicious samples do not point at one caption.
    NothingFound,
    /// Something was found, and the new checkpoint misses a limit.
    Rejected,
}

/// Whether there is anything to drop and to forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    Shortcut,
    Nothing,
}

/// Which checkpoint `clean.safetensors` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HandedBack {
    /// The one that `unlearn` trained.
    Trained,
    /// The one that was given: what unlearning did to honest samples must not reach the operator.
    Given,
}

/// A share of a count with its 95 % Wilson interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    pub hits: u64,
    pub of: u64,
    pub share: f64,
    pub low: f64,
    pub high: f64,
}

impl Verdict {
    pub const ALL: [Self; 3] = [Self::Removed, Self::NothingFound, Self::Rejected];

    /// Whether the operator may go on without looking closer.
    pub fn is_accepted(self) -> bool {
        match self {
            Self::Removed | Self::NothingFound => true,
            Self::Rejected => false,
        }
    }

    /// As reports spell it; none where no build that we know of says so.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.as_str() == text)
    }

    /// A report's headline, with the verdict where one might go on all the same.
    pub fn beside(self, headline: &str) -> String {
        if self.is_accepted() { headline.to_owned() } else { format!("{}: {headline}", self.as_str()) }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::NothingFound => "nothing-found",
            Self::Rejected => "rejected",
        }
    }
}

impl Report {
    /// The clusters that a shortcut is behind.
    pub fn shortcuts(&self) -> impl Iterator<Item = &Judged> {
        self.clusters.iter().filter(|judged| judged.is_shortcut())
    }
}

impl Interval {
    /// Of nothing, the share is 0 and the interval everything.
    pub fn of(hits: u64, of: u64) -> Self {
        let bounds = wilson(hits, of, Z_95);
        let share = if of == 0 { 0.0 } else { hits as f64 / of as f64 };
        Self { hits, of, share, low: bounds.low, high: bounds.high }
    }
}

/// How often a signal's values fall into equal bins between `low` and `high`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    pub signal: String,
    pub low: f64,
    pub high: f64,
    pub counts: Vec<u64>,
    /// Values from here on were taken by it, where this signal decided.
    pub cut: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseSeconds {
    pub name: String,
    pub kind: String,
    pub seconds: f64,
    pub retries: u64,
}
