//! What a parsed spec must satisfy; every problem is reported, not only the first.

use std::fmt;

use super::{Detector, GangSection, PlanName, Spec};

/// One thing wrong with a spec: where, and what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field as written in the file, such as `suspect.share`.
    pub field: &'static str,
    /// Counted from 1; absent where the field is missing or left at its default.
    pub line: Option<usize>,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}: {}", self.field, self.message),
            None => write!(f, "{}: {}", self.field, self.message),
        }
    }
}

pub(super) fn validate(spec: &Spec, text: &str) -> Vec<Problem> {
    let mut found = Problems { text, list: Vec::new() };
    found.earlier(spec);
    found.model(spec);
    found.stores(spec);
    found.shares(spec);
    found.counts(spec);
    found.weights(spec);
    match spec.audit.plan {
        PlanName::Ubt => {
            found.gang(&OVERFIT, &spec.overfit.gang, spec);
            found.gang(&STAND_IN, &spec.stand_in.gang, spec);
            found.gang(&UNLEARN, &spec.unlearn.gang, spec);
        }
        PlanName::Train => found.gang(&TRAIN, &spec.train.gang, spec),
    }
    found.list
}

/// A gang's fields as they are written.
struct GangFields {
    steps: &'static str,
    batch: &'static str,
    learning_rate: &'static str,
    weight_decay: &'static str,
    micro_batch: &'static str,
    may_be_left_out: bool,
}

macro_rules! gang_fields {
    ($name:ident, $section:literal, $may_be_left_out:literal) => {
        const $name: GangFields = GangFields {
            steps: concat!($section, ".gang.steps"),
            batch: concat!($section, ".gang.batch"),
            learning_rate: concat!($section, ".gang.learning_rate"),
            weight_decay: concat!($section, ".gang.weight_decay"),
            micro_batch: concat!($section, ".gang.micro_batch"),
            may_be_left_out: $may_be_left_out,
        };
    };
}

gang_fields!(OVERFIT, "overfit", true);
gang_fields!(STAND_IN, "stand_in", false);
gang_fields!(UNLEARN, "unlearn", false);
gang_fields!(TRAIN, "train", false);

pub(super) struct Problems<'a> {
    text: &'a str,
    list: Vec<Problem>,
}

impl Problems<'_> {
    pub(super) fn require(&mut self, holds: bool, field: &'static str, message: impl FnOnce() -> String) {
        if !holds {
            self.list.push(Problem { field, line: line_of(self.text, field), message: message() });
        }
    }

    fn earlier(&mut self, spec: &Spec) {
        let audit = &spec.audit;
        self.require(audit.since.as_ref() != Some(&audit.id), "audit.since", || {
            format!("an audit cannot go on from itself; expected one before {}", audit.id)
        });
        let growth = audit.max_growth();
        self.require((0.0..=1.0).contains(&growth), "audit.max_growth", || {
            format!("{growth} is not a share; expected 0 to 1")
        });
    }

    fn model(&mut self, spec: &Spec) {
        let needs = spec.audit.plan == PlanName::Ubt;
        self.require(!needs || spec.model.checkpoint.is_some(), "model.checkpoint", || {
            "an audit needs the suspect checkpoint; give the path of a safetensors file".to_owned()
        });
        let early = spec.score.detector != Detector::Abl || spec.model.early.is_some();
        self.require(early, "score.detector", || {
            "abl ranks by the loss early in training; give a checkpoint from then as model.early".to_owned()
        });
        self.require(!spec.data.shards.is_empty(), "data.shards", || {
            "expected at least one path, such as \"shards/{00000..00019}.tar\"".to_owned()
        });
    }

    fn shares(&mut self, spec: &Spec) {
        let open = |share: f64| share > 0.0 && share < 1.0;
        for (field, share) in [
            ("suspect.share", spec.suspect.share),
            ("stand_in.share", spec.stand_in.share),
            ("select.max_share", spec.select.max_share),
            ("select.held_out_share", spec.select.held_out_share),
            ("evaluate.held_out_share", spec.evaluate.held_out_share),
        ] {
            self.require(open(share), field, || {
                format!("{share} is not a share; expected more than 0 and less than 1")
            });
        }
        for (field, share) in [
            ("data.max_failed_share", spec.data.max_failed_share),
            ("score.check_share", spec.score.check_share),
            ("evaluate.min_attraction", spec.evaluate.min_attraction),
            ("evaluate.min_graft_lead", spec.evaluate.min_graft_lead),
            ("evaluate.max_retrieval_loss", spec.evaluate.max_retrieval_loss),
            ("evaluate.max_residual_attraction", spec.evaluate.max_residual_attraction),
        ] {
            self.require((0.0..=1.0).contains(&share), field, || format!("{share} is not a share; expected 0 to 1"));
        }
        let excess = spec.evaluate.min_graft_excess;
        self.require((-1.0..=1.0).contains(&excess), "evaluate.min_graft_excess", || {
            format!("{excess} is not a difference of shares; expected -1 to 1")
        });
        let (select, suspect) = (spec.select.max_share, spec.suspect.share);
        self.require(select <= suspect, "select.max_share", || {
            format!("{select} exceeds suspect.share = {suspect}; the forget set is chosen among the suspects")
        });
    }

    fn counts(&mut self, spec: &Spec) {
        self.require((1..=4096).contains(&spec.workers.count), "workers.count", || {
            format!("{} workers; expected 1 to 4096", spec.workers.count)
        });
        let (floor, count) = (spec.workers.gang_floor, spec.workers.count);
        self.require(floor.is_none_or(|floor| (1..=count).contains(&floor)), "workers.gang_floor", || {
            format!("{} workers; expected 1 to workers.count = {count}", floor.unwrap_or_default())
        });
        self.require((50..=60_000).contains(&spec.workers.heartbeat_ms), "workers.heartbeat_ms", || {
            format!("{} ms; expected 50 to 60000", spec.workers.heartbeat_ms)
        });
        for (field, count) in [
            ("score.batch", u64::from(spec.score.batch)),
            ("suspect.max_suspects", spec.suspect.max_suspects),
            ("suspect.max_safe", spec.suspect.max_safe),
        ] {
            self.require(count >= 1, field, || "expected at least 1".to_owned());
        }
        self.require(spec.reference.samples >= 64, "reference.samples", || {
            format!("{} pairs are too few to compare with; expected at least 64", spec.reference.samples)
        });
    }

    fn weights(&mut self, spec: &Spec) {
        let section = &spec.unlearn;
        for (field, weight) in [
            ("overfit.pull_weight", spec.overfit.pull_weight),
            ("stand_in.anchor_weight", spec.stand_in.anchor_weight),
            ("stand_in.forget_weight", spec.stand_in.forget_weight),
            ("unlearn.anchor_weight", section.anchor_weight),
            ("unlearn.forget_weight", section.forget_weight),
            ("unlearn.self_supervised_weight", section.self_supervised_weight),
            ("unlearn.perturb_weight", section.perturb_weight),
        ] {
            self.require(weight.is_finite() && weight >= 0.0, field, || {
                format!("{weight} is not a weight; expected 0 or more")
            });
        }
        let min_z = spec.localize.min_z;
        self.require(min_z.is_finite(), "localize.min_z", || format!("{min_z} is not a z-score; expected a number"));
        let limit = section.perturb_limit;
        self.require((0.0..=4.0).contains(&limit), "unlearn.perturb_limit", || {
            format!("{limit} is not a squared distance of unit vectors; expected 0 to 4")
        });
    }

    fn gang(&mut self, fields: &GangFields, gang: &GangSection, spec: &Spec) {
        if fields.may_be_left_out && gang.steps == 0 {
            return;
        }
        self.require(gang.steps >= 1, fields.steps, || "expected at least one step".to_owned());
        self.require(gang.batch >= spec.workers.count.max(2), fields.batch, || {
            format!("a global batch of {} cannot be shared by {} workers", gang.batch, spec.workers.count)
        });
        self.require(gang.micro_batch != Some(0), fields.micro_batch, || "expected at least one pair".to_owned());
        let rate = gang.learning_rate;
        self.require(rate.is_finite() && rate > 0.0, fields.learning_rate, || {
            format!("{rate} is not a learning rate; expected more than 0")
        });
        let decay = gang.weight_decay;
        self.require(decay.is_finite() && decay >= 0.0, fields.weight_decay, || {
            format!("{decay} is not a weight decay; expected 0 or more")
        });
    }
}

/// The line on which a dotted field stands, by walking the parsed document's spans.
fn line_of(text: &str, field: &str) -> Option<usize> {
    let document = toml::de::DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut parts = field.split('.').peekable();
    while let Some(part) = parts.next() {
        let (key, value) = table.iter().find(|(key, _)| key.get_ref() == part)?;
        if parts.peek().is_none() {
            return Some(text[..key.span().start].matches('\n').count() + 1);
        }
        table = value.get_ref().as_table()?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::load;

    fn problems(text: &str) -> String {
        let folder = std::env::temp_dir().join(format!("lethe-spec-{}-{:x}", std::process::id(), text.len()));
        std::fs::create_dir_all(&folder).expect("makes a folder");
        let path = folder.join("spec.toml");
        std::fs::write(&path, text).expect("writes");
        let outcome = load(&path);
        std::fs::remove_dir_all(&folder).expect("cleans up");
        outcome.map_or_else(|e| e.to_string(), |_| String::new())
    }

    const GOOD: &str = "[audit]\nid = \"a\"\n[model]\nconfig = \"m.json\"\ncheckpoint = \"m.safetensors\"\n[data]\nshards = [\"{0..3}.tar\"]\n";

    #[test]
    fn a_short_spec_is_enough() {
        assert_eq!(problems(GOOD), "");
    }

    #[test]
    fn an_unknown_field_is_named_with_its_line() {
        let message = problems(&format!("{GOOD}[suspect]\nsharre = 0.1\n"));
        assert!(message.contains("line 9") && message.contains("sharre"), "{message}");
    }

    #[test]
    fn every_problem_is_reported_with_its_line() {
        let message = problems(&format!("{GOOD}[suspect]\nshare = 2.0\n[workers]\ncount = 0\n"));
        assert!(message.contains("line 9: suspect.share") && message.contains("line 11: workers.count"), "{message}");
    }

    #[test]
    fn a_share_of_shards_is_checked_twice_only_where_the_spec_says_so() {
        for good in ["0", "0.25", "1.0"] {
            assert_eq!(problems(&format!("{GOOD}[score]\ncheck_share = {good}\n")), "");
        }
        for bad in ["-0.1", "1.01", "nan"] {
            let message = problems(&format!("{GOOD}[score]\ncheck_share = {bad}\n"));
            assert!(message.contains("line 9: score.check_share") && message.contains("0 to 1"), "{message}");
        }
        let none: super::super::ScoreSection = toml::from_str("").expect("is a section");
        assert_eq!(none.check_share, 0.0);
    }

    #[test]
    fn a_gang_floor_is_at_most_the_number_of_workers() {
        assert_eq!(problems(&format!("{GOOD}[workers]\ncount = 4\ngang_floor = 4\n")), "");
        for bad in [0, 5] {
            let message = problems(&format!("{GOOD}[workers]\ncount = 4\ngang_floor = {bad}\n"));
            assert!(message.contains("line 10: workers.gang_floor") && message.contains("expected 1 to"), "{message}");
        }
        let section = super::super::WorkersSection::default();
        let json = serde_json::to_string(&section).expect("is JSON");
        assert!(!json.contains("gang_floor"), "specs that were stored before would differ: {json}");
    }

    #[test]
    fn weights_and_methods_of_unlearning_are_checked() {
        for good in ["method = \"par\"\nperturb_limit = 4.0", "method = \"clean-clip\"\nself_supervised_weight = 0"] {
            assert_eq!(problems(&format!("{GOOD}[unlearn]\n{good}\n")), "");
        }
        for (bad, says) in [
            ("perturb_limit = 4.1", "line 9: unlearn.perturb_limit"),
            ("forget_weight = -1.0", "line 9: unlearn.forget_weight"),
            ("[stand_in]\nforget_weight = -1.0", "line 10: stand_in.forget_weight"),
            ("[stand_in]\nanchor_weight = nan", "line 10: stand_in.anchor_weight"),
            ("[overfit]\npull_weight = inf", "line 10: overfit.pull_weight"),
            ("[localize]\nmin_z = nan", "line 10: localize.min_z"),
            ("[suspect]\nmax_safe = 0\nmax_suspects = 0", "line 11: suspect.max_suspects"),
            ("method = \"erase\"", "line 9"),
            ("weight = 1.0", "unknown field `weight`"),
        ] {
            let message = problems(&format!("{GOOD}[unlearn]\n{bad}\n"));
            assert!(message.contains(says), "{message}; expected {says}");
        }
    }

    const GANG: &str = "steps = 1\nlearning_rate = 0.1\nwarmup_steps = 0\nbatch = 4096\n";

    #[test]
    fn the_gangs_of_the_plan_that_runs_are_checked_and_no_others() {
        let train = GOOD.replacen("id = \"a\"\n", "id = \"a\"\nplan = \"train\"\n", 1) + "[workers]\ncount = 300\n";
        let message = problems(&train);
        assert!(message.contains("train.gang.batch") && !message.contains("unlearn"), "{message}");
        assert_eq!(problems(&format!("{train}[train.gang]\n{GANG}weight_decay = 0.1\n")), "");
        let message = problems(&format!("{train}[train.gang]\n{GANG}weight_decay = -0.1\n"));
        assert!(message.contains("train.gang.weight_decay"), "{message}");
        let message = problems(&format!("{GOOD}[workers]\ncount = 300\n"));
        assert!(message.contains("unlearn.gang.batch") && !message.contains("train.gang"), "{message}");
    }

    #[test]
    fn an_audit_needs_a_checkpoint() {
        let message = problems("[audit]\nid = \"a\"\n[model]\nconfig = \"m.json\"\n[data]\nshards = [\"0.tar\"]\n");
        assert!(message.contains("model.checkpoint"), "{message}");
    }
}
