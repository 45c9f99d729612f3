//! The most frequent words of any number of shards, exactly: counts that grow too many go to disk as a sorted run, and all
//! runs are merged in the end.
//!
//! It must never hold more than a fixed number of words, nor depend on the order of shards or on where a run ended.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::PathBuf;

use lethe_common::fault::Fault;
use lethe_evidence::WordCounts;

/// Distinct words in memory before they become a run.
const WORDS_IN_MEMORY: usize = 400_000;
/// Runs before they are merged into one.
const MAX_RUNS: usize = 64;
/// A longer word is a damaged run: captions are bounded far below.
const MAX_WORD_BYTES: u32 = 1 << 24;

pub(super) struct Tally {
    /// Where runs lie; it may have to be made.
    scratch: PathBuf,
    counts: WordCounts,
    runs: Vec<File>,
    words_in_memory: usize,
}

impl Tally {
    pub fn new(scratch: PathBuf) -> Self {
        Self { scratch, counts: WordCounts::default(), runs: Vec::new(), words_in_memory: WORDS_IN_MEMORY }
    }

    /// Counts a shard's words. A run's file has no name, so that it goes with the process.
    pub fn add(mut self, shard: &WordCounts) -> Result<Self, Fault> {
        for (word, count) in shard.words() {
            self.counts.add_many(word, count);
            if self.counts.distinct() > self.words_in_memory {
                self.spill().map_err(|e| fault(&e))?;
            }
        }
        Ok(self)
    }

    fn spill(&mut self) -> io::Result<()> {
        let counts = std::mem::take(&mut self.counts);
        let run = self.write(counts.words().map(|(word, count)| Ok((word.to_owned(), count))))?;
        self.runs.push(run);
        if self.runs.len() >= MAX_RUNS {
            let merged = Merge::of(std::mem::take(&mut self.runs))?;
            let run = self.write(merged)?;
            self.runs.push(run);
        }
        Ok(())
    }

    fn write(&self, words: impl Iterator<Item = io::Result<(String, u64)>>) -> io::Result<File> {
        std::fs::create_dir_all(&self.scratch)?;
        let mut run = BufWriter::new(tempfile::tempfile_in(&self.scratch)?);
        for entry in words {
            let (word, count) = entry?;
            let length = u32::try_from(word.len()).map_err(io::Error::other)?;
            run.write_all(&length.to_le_bytes())?;
            run.write_all(word.as_bytes())?;
            run.write_all(&count.to_le_bytes())?;
        }
        Ok(run.into_inner()?)
    }

    /// The words with the highest counts, equals in their own order.
    pub fn most_frequent(mut self, most: usize) -> Result<WordCounts, Fault> {
        let found = if self.runs.is_empty() {
            highest(self.counts.words().map(|(word, count)| Ok((word.to_owned(), count))), most)
        } else {
            self.spill().and_then(|()| highest(Merge::of(self.runs)?, most))
        };
        found.map_err(|e| fault(&e))
    }
}

fn highest(words: impl Iterator<Item = io::Result<(String, u64)>>, most: usize) -> io::Result<WordCounts> {
    let mut least_first = BinaryHeap::with_capacity(most + 1);
    for entry in words {
        let (word, count) = entry?;
        least_first.push(Reverse((count, Reverse(word))));
        if least_first.len() > most {
            least_first.pop();
        }
    }
    let mut kept = WordCounts::default();
    least_first.into_iter().for_each(|Reverse((count, Reverse(word)))| kept.add_many(&word, count));
    Ok(kept)
}

/// Runs as one, in order of word and each word once.
struct Merge {
    runs: Vec<BufReader<File>>,
    /// The next word of each run, with its count and whose it is.
    next: BTreeMap<(String, usize), u64>,
}

impl Merge {
    fn of(runs: Vec<File>) -> io::Result<Self> {
        let mut merge = Self { runs: Vec::new(), next: BTreeMap::new() };
        for mut run in runs {
            run.rewind()?;
            merge.runs.push(BufReader::new(run));
            merge.pull(merge.runs.len() - 1)?;
        }
        Ok(merge)
    }

    fn pull(&mut self, run: usize) -> io::Result<()> {
        let mut length = [0; 4];
        match self.runs[run].read_exact(&mut length) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        let length = u32::from_le_bytes(length);
        if length > MAX_WORD_BYTES {
            return Err(io::Error::other(format!("a run of words is damaged: a word of {length} bytes")));
        }
        let (mut word, mut count) = (vec![0; length as usize], [0; 8]);
        self.runs[run].read_exact(&mut word)?;
        self.runs[run].read_exact(&mut count)?;
        let word = String::from_utf8(word).map_err(io::Error::other)?;
        self.next.insert((word, run), u64::from_le_bytes(count));
        Ok(())
    }

    fn entry(&mut self) -> io::Result<Option<(String, u64)>> {
        let Some(((word, run), mut total)) = self.next.pop_first() else { return Ok(None) };
        self.pull(run)?;
        while let Some(other) = self.next.first_entry().filter(|other| other.key().0 == word) {
            let ((_, run), count) = other.remove_entry();
            total += count;
            self.pull(run)?;
        }
        Ok(Some((word, total)))
    }
}

impl Iterator for Merge {
    type Item = io::Result<(String, u64)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.entry().transpose()
    }
}

/// A full disk may be mended before the next try.
fn fault(error: &io::Error) -> Fault {
    Fault::storage(format!("counting words on disk: {error}; check the work folder's free space"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shards whose words overlap: word n occurs in every shard that divides it.
    fn shards() -> Vec<WordCounts> {
        let shard = |shard: u64| {
            let mut counts = WordCounts::default();
            (0..600).filter(|n| n % shard == 0).for_each(|n: u64| counts.add_many(&format!("w{n}"), 1 + n % 5));
            counts
        };
        (1..90).map(shard).collect()
    }

    fn tallied(words_in_memory: usize, shards: impl Iterator<Item = WordCounts>, most: usize) -> WordCounts {
        let folder = tempfile::tempdir().expect("makes a folder");
        let mut tally = Tally { words_in_memory, ..Tally::new(folder.path().join("scratch")) };
        for shard in shards {
            tally = tally.add(&shard).expect("counts");
        }
        tally.most_frequent(most).expect("merges")
    }

    #[test]
    fn what_went_to_disk_counts_as_if_it_had_not() {
        let mut all = WordCounts::default();
        shards().iter().for_each(|shard| all.merge(shard));
        for words_in_memory in [7, 100, 599, 10_000] {
            assert_eq!(tallied(words_in_memory, shards().into_iter(), 10_000), all, "{words_in_memory} in memory");
        }
    }

    #[test]
    fn the_most_frequent_stay_equals_by_word_and_order_changes_nothing() {
        let mut all = WordCounts::default();
        shards().iter().for_each(|shard| all.merge(shard));
        let mut sorted: Vec<(&str, u64)> = all.words().collect();
        sorted.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let mut expected = WordCounts::default();
        sorted.iter().take(50).for_each(|(word, count)| expected.add_many(word, *count));
        for words_in_memory in [20, 10_000] {
            assert_eq!(tallied(words_in_memory, shards().into_iter(), 50), expected);
            assert_eq!(tallied(words_in_memory, shards().into_iter().rev(), 50), expected);
        }
    }
}
