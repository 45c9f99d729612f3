//! The names of things, each a type of its own, so that none is taken for another.
//!
//! They must never carry meaning beyond identity and order.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest id a client may choose, in bytes.
pub const MAX_ID_BYTES: usize = 64;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("id {0:?} is not 1 to {MAX_ID_BYTES} of a-z, 0-9, '-', '_' and '.', beginning with a letter or digit")]
pub struct IdError(pub String);

fn checked(text: &str) -> Result<String, IdError> {
    let body = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b));
    let head = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if body && head && text.len() <= MAX_ID_BYTES { Ok(text.to_owned()) } else { Err(IdError(text.to_owned())) }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks that the text is safe in a path, a key and a log line.
            pub fn new(text: &str) -> Result<Self, IdError> {
                checked(text).map(Self)
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// One audit, chosen by the client; submitting it twice is one audit.
    AuditId
);
text_id!(
    /// One worker process (the agent), stable over its restarts.
    WorkerId
);

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

number_id!(
    /// A phase's place in its audit's plan, from 0.
    PhaseIndex(u32)
);
number_id!(
    /// A task of a map phase, or a rank of a gang, from 0.
    ShardId(u32)
);
number_id!(
    /// One per election; a leader of an older term can make nothing real.
    Term(u64)
);
number_id!(
    /// One per forming of a gang; messages of an older one are dropped.
    Generation(u64)
);

/// One try of one task: larger is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attempt {
    pub term: Term,
    pub counter: u64,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.term, self.counter)
    }
}

/// One try of one task of one phase of one audit. A gang member's shard is its rank.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId {
    pub audit: AuditId,
    pub phase: PhaseIndex,
    pub shard: ShardId,
    pub attempt: Attempt,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.audit, self.phase, self.shard, self.attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_safe_in_paths() {
        for bad in ["", "..", "a/b", "A", "a b", "-a", &"x".repeat(65)] {
            assert_eq!(AuditId::new(bad), Err(IdError(bad.to_owned())));
        }
        assert_eq!(AuditId::new("demo-1.2_x").expect("is fine").as_str(), "demo-1.2_x");
    }

    #[test]
    fn a_newer_term_beats_a_higher_counter() {
        let old = Attempt { term: Term(1), counter: 9 };
        assert!(Attempt { term: Term(2), counter: 0 } > old);
    }
}
