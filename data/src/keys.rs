//! What a sample's key must be, and that each counts once.
//!
//! It must never hold the keys themselves: of each it keeps eight bytes.

use std::collections::HashSet;
use std::path::{Component, Path};

use crate::sample::{BadSample, Sample};

/// Samples of one shard, good and bad, at most.
pub const MAX_SAMPLES: usize = 1 << 22;
const MAX_KEY_BYTES: usize = 4096;

/// Why a key cannot name a sample; results and drop lists carry it, and others may make a path of it.
pub(crate) fn problem(key: &str) -> Option<String> {
    let escapes = |part: Component<'_>| match part {
        Component::Prefix(_) | Component::RootDir | Component::ParentDir => true,
        Component::CurDir | Component::Normal(_) => false,
    };
    if key.len() > MAX_KEY_BYTES {
        return Some(format!("its name has {} bytes; the limit is {MAX_KEY_BYTES}", key.len()));
    }
    Path::new(key).components().any(escapes).then(|| "its name is absolute or contains '..'".to_owned())
}

/// Samples whose keys differ: of those that share one the first counts.
pub(crate) struct Distinct<I> {
    samples: I,
    admission: Admission,
}

/// Judges the samples of one shard, one after the other.
#[derive(Default)]
pub(crate) struct Admission {
    seen: HashSet<u64>,
    count: usize,
}

impl<I> Distinct<I> {
    pub fn new(samples: I) -> Self {
        Self { samples, admission: Admission::default() }
    }
}

impl Admission {
    fn is_over(&self) -> bool {
        self.count > MAX_SAMPLES
    }

    /// The sample, or why it does not count. The last that is judged says that the shard has too many; nothing is judged
    /// after it.
    pub fn admit(&mut self, sample: Result<Sample, BadSample>) -> Option<Result<Sample, BadSample>> {
        if self.is_over() {
            return None;
        }
        self.count += 1;
        if self.is_over() {
            let reason = format!("this and what follows is left out: a shard may have {MAX_SAMPLES} samples; split it");
            return Some(Err(BadSample { key: key_of(sample), reason }));
        }
        Some(sample.and_then(|sample| {
            if self.seen.insert(short_hash(&sample.key)) {
                return Ok(sample);
            }
            let reason = "another sample before it in the shard has this key; each key counts once".to_owned();
            Err(BadSample { key: sample.key, reason })
        }))
    }
}

impl<I: Iterator<Item = Result<Sample, BadSample>>> Iterator for Distinct<I> {
    type Item = Result<Sample, BadSample>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.admission.is_over() {
            return None;
        }
        self.admission.admit(self.samples.next()?)
    }
}

fn key_of(sample: Result<Sample, BadSample>) -> String {
    sample.map_or_else(|bad| bad.key, |good| good.key)
}

fn short_hash(key: &str) -> u64 {
    let digest = blake3::hash(key.as_bytes());
    u64::from_le_bytes(digest.as_bytes()[..8].try_into().expect("a digest has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(n: usize) -> Result<Sample, BadSample> {
        Ok(Sample { key: n.to_string(), image: bytes::Bytes::new(), caption: String::new(), url: None })
    }

    #[test]
    fn a_key_counts_once() {
        let read: Vec<_> = Distinct::new([1, 2, 1, 3].into_iter().map(sample)).collect();
        assert!(read[0].is_ok() && read[1].is_ok() && read[3].is_ok());
        assert!(read[2].as_ref().is_err_and(|bad| bad.key == "1" && bad.reason.contains("counts once")));
    }

    #[test]
    fn a_shard_ends_at_its_limit() {
        let endless = std::iter::repeat_with(|| Err(BadSample { key: String::new(), reason: String::new() }));
        assert_eq!(Distinct::new(endless).count(), MAX_SAMPLES + 1);
    }
}
