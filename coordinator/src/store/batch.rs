//! One atomic write and what became of it.
//!
//! It must never grow past what etcd takes with its defaults (128 operations, 1.5 MB a request).

use lethe_common::ids::Term;
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::own::is_own;

/// Keys and prefixes that one batch may name.
pub const MAX_OPERATIONS: usize = 120;
/// Bytes of one batch's keys and values together.
pub const MAX_BATCH_BYTES: usize = 1 << 20;

/// One atomic write. No key may be named twice, be it by a prefix: etcd refuses that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    pub puts: Vec<(String, Vec<u8>)>,
    pub deletes: Vec<String>,
    /// Every key that begins with one of these is deleted.
    pub forgets: Vec<String>,
}

/// Which leader writes, and its how-manieth batch this is: 1, 2, ...
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    pub term: Term,
    pub batch: u64,
}

/// What became of a batch.
#[derive(Debug)]
pub enum Outcome {
    /// It is durable, now or since an earlier try.
    Applied,
    /// Nothing was written: the store is not where this fence expects it. A newer leader was elected,
    /// or (where `current` is the fence's own term) the batch's number is not the next one.
    Conflict { current: Term },
    /// It may be durable or not: the same fence and batch committed again tell, and apply it once. Where
    /// they find no answer (a full etcd), a new term fences the batch off and a load tells.
    Unknown(StoreError),
    /// Nothing was written or sent, and no other try will differ: a bug of the caller.
    Refused(StoreError),
}

impl Fence {
    /// Where the store is before this batch; none for batch 0, which is the election's own.
    pub(super) fn before(self) -> Option<Self> {
        Some(Self { batch: self.batch.checked_sub(1)?, ..self })
    }

    pub(super) fn encode(self) -> Vec<u8> {
        serde_json::to_vec(&self).expect("two numbers are JSON")
    }

    pub(super) fn decode(value: &[u8]) -> Result<Self, StoreError> {
        serde_json::from_slice(value)
            .map_err(|e| StoreError::Damaged { key: super::own::TERM.to_owned(), reason: e.to_string() })
    }
}

impl Batch {
    /// # Errors
    /// [`StoreError::Batch`] says which limit or rule it breaks.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match self.broken_rule() {
            Some(reason) => Err(StoreError::Batch { reason }),
            None => Ok(()),
        }
    }

    fn broken_rule(&self) -> Option<String> {
        let operations = self.puts.len() + self.deletes.len() + self.forgets.len();
        if operations > MAX_OPERATIONS {
            return Some(format!("it has {operations} operations, at most {MAX_OPERATIONS} go into one batch"));
        }
        let bytes = self.bytes();
        if bytes > MAX_BATCH_BYTES {
            return Some(format!("it has {bytes} bytes, at most {MAX_BATCH_BYTES} go into one batch"));
        }
        self.own_key().or_else(|| self.twice())
    }

    fn bytes(&self) -> usize {
        let puts: usize = self.puts.iter().map(|(key, value)| key.len() + value.len()).sum();
        puts + self.deletes.iter().chain(&self.forgets).map(String::len).sum::<usize>()
    }

    fn own_key(&self) -> Option<String> {
        let keys = self.puts.iter().map(|(key, _)| key).chain(&self.deletes);
        let own = keys.chain(&self.forgets).find(|key| is_own(key));
        own.map(|key| format!("{key:?} is empty or the store's own"))
    }

    fn twice(&self) -> Option<String> {
        let mut keys: Vec<&String> = self.puts.iter().map(|(key, _)| key).chain(&self.deletes).collect();
        keys.sort_unstable();
        let twice = keys.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        let put = self.puts.iter().map(|(key, _)| key);
        let forgotten = || put.clone().find(|key| self.forgets.iter().any(|prefix| key.starts_with(prefix)));
        twice.or_else(forgotten).map(|key| format!("it names {key:?} twice"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, bytes: usize) -> (String, Vec<u8>) {
        (key.to_owned(), vec![b'x'; bytes])
    }

    #[test]
    fn a_batch_at_its_limits_is_taken_and_one_past_them_is_not() {
        let full = Batch { puts: vec![put("a/1", MAX_BATCH_BYTES - 3)], ..Batch::default() };
        full.check().expect("fits");
        let over = Batch { puts: vec![put("a/1", MAX_BATCH_BYTES - 2)], ..Batch::default() };
        over.check().expect_err("is too large");
        let many = |count: usize| Batch { deletes: (0..count).map(|n| format!("a/{n}")).collect(), ..Batch::default() };
        many(MAX_OPERATIONS).check().expect("fits");
        many(MAX_OPERATIONS + 1).check().expect_err("has too many");
    }

    #[test]
    fn no_key_is_named_twice_and_none_is_the_stores_own() {
        let deletes = vec!["a/1".to_owned()];
        let forgets = vec!["a/".to_owned()];
        for wrong in [
            Batch { puts: vec![put("a/1", 1), put("a/1", 2)], ..Batch::default() },
            Batch { puts: vec![put("a/1", 1)], deletes: deletes.clone(), ..Batch::default() },
            Batch { puts: vec![put("a/1", 1)], forgets: forgets.clone(), ..Batch::default() },
            Batch { puts: vec![put("1/term", 1)], ..Batch::default() },
            Batch { forgets: vec![String::new()], ..Batch::default() },
        ] {
            assert!(matches!(wrong.check(), Err(StoreError::Batch { .. })), "{wrong:?}");
        }
        Batch { puts: vec![put("b/1", 1)], deletes, forgets }.check().expect("names each once");
    }
}
