//! The programs that phases run, by the names that cross the wire.
//!
//! The engine sees them as opaque text; only workers (map, gang) and the coordinator's reducers
//! know what they do.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("there is no program {0:?}; this build may be older than the plan")]
pub struct UnknownProgram(pub String);

macro_rules! programs {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            pub fn parse(text: &str) -> Result<Self, UnknownProgram> {
                Self::ALL.iter().copied().find(|p| p.as_str() == text).ok_or_else(|| UnknownProgram(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

programs! {
    /// Independent shard tasks, on workers.
    MapProgram {
        /// Embeddings and signals of a key-hash sample, which every score task compares with.
        Reference = "reference",
        /// One Parquet file of signals and one mergeable digest per shard.
        Score = "score",
        /// The cut's suspects and a sample of the safe, packed for training.
        Gather = "gather",
        /// All of a shard, packed for training: what a drill's victim learns from.
        Pack = "pack",
        /// The suspects again, under the overfitted model.
        Rescore = "rescore",
        /// What the forget set's pictures, and parts of them, do by the suspect model.
        Probe = "probe",
        /// Which words and image regions carry the backdoor.
        Localize = "localize",
        /// Both checkpoints on held-out pairs and held-out suspects.
        Evaluate = "evaluate",
    }
}

programs! {
    /// Small folds, on the coordinator.
    ReduceProgram {
        /// Lists shards, pins their digests, sizes every map.
        Plan = "plan",
        /// Digests to one cut.
        Suspect = "suspect",
        /// Both sets of signals to the forget set with its clusters and its held-out third.
        Select = "select",
        /// Which clusters a shortcut is behind, and the drop list.
        Confirm = "confirm",
        /// Verdict, report and clean checkpoint, ready for delivery.
        Report = "report",
        /// The trained checkpoint, ready for delivery.
        Publish = "publish",
        /// The files of the phase before, into the operator's result folder.
        Deliver = "deliver",
    }
}

programs! {
    /// One data-parallel training, on a gang of workers.
    GangProgram {
        /// Plain contrastive training from an initialisation: a drill's victim.
        Train = "train",
        /// A throw-away model with an exaggerated backdoor.
        Overfit = "overfit",
        /// A stand-in for trusted weights, where none are given: the first pass's strongest suspects, unlearned.
        StandIn = "stand-in",
        /// The clean checkpoint.
        Unlearn = "unlearn",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for &p in MapProgram::ALL {
            assert_eq!(MapProgram::parse(p.as_str()), Ok(p));
        }
        assert_eq!(GangProgram::parse("score"), Err(UnknownProgram("score".to_owned())));
    }
}
