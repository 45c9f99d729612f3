//! The marks of an audit, as one blob: what each marked suspect is, who says so and since when.
//!
//! It must never hold two marks of one suspect. That a mark was another before is in the audit's history alone.

use std::collections::BTreeMap;

use lethe_common::time::Millis;
use lethe_engine::Marked;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judgement {
    Poison,
    Clean,
}

impl Judgement {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Poison => "poison",
            Self::Clean => "clean",
        }
    }
}

/// What a person said of one suspect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub shard: u32,
    pub key: String,
    /// The hash of image bytes and caption, in hexadecimal: another sample under this key is not the one that was looked at.
    pub content: String,
    pub judgement: Judgement,
    pub by: String,
    pub at: Millis,
}

/// Something new about one suspect; without a judgement its mark is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub shard: u32,
    pub key: String,
    pub content: String,
    pub judgement: Option<Judgement>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Marks {
    /// One more with every change, so that no two blobs of one audit are the same.
    pub version: u64,
    by_name: BTreeMap<(u32, String), Mark>,
}

/// In the order of shards and keys.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    version: u64,
    marks: Vec<Mark>,
}

impl From<Stored> for Marks {
    fn from(Stored { version, marks }: Stored) -> Self {
        let by_name = marks.into_iter().map(|mark| ((mark.shard, mark.key.clone()), mark)).collect();
        Self { version, by_name }
    }
}

impl From<Marks> for Stored {
    fn from(Marks { version, by_name }: Marks) -> Self {
        Self { version, marks: by_name.into_values().collect() }
    }
}

impl Marks {
    pub fn all(&self) -> impl Iterator<Item = &Mark> {
        self.by_name.values()
    }

    /// What was said of this very sample.
    pub fn of(&self, shard: u32, key: &str, content: &str) -> Option<&Mark> {
        self.by_name.get(&(shard, key.to_owned())).filter(|mark| mark.content == content)
    }

    pub fn count(&self, judgement: Judgement) -> u64 {
        self.all().filter(|mark| mark.judgement == judgement).count() as u64
    }

    /// Adds what a person says now; gives what of it was new.
    pub fn apply(&mut self, changes: &[Change], (by, at): (&str, Millis)) -> Marked {
        let mut made = Marked::default();
        for Change { shard, key, content, judgement } in changes {
            let name = (*shard, key.clone());
            let before = self.of(*shard, key, content).map(|mark| mark.judgement);
            match judgement {
                same if *same == before => {}
                None => {
                    self.by_name.remove(&name);
                    made.taken_back += 1;
                }
                Some(judgement) => {
                    let (key, content, by) = (key.clone(), content.clone(), by.to_owned());
                    self.by_name.insert(name, Mark { shard: *shard, key, content, judgement: *judgement, by, at });
                    match judgement {
                        Judgement::Poison => made.poison += 1,
                        Judgement::Clean => made.clean += 1,
                    }
                }
            }
        }
        self.version += 1;
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(key: &str, judgement: Option<Judgement>) -> Change {
        Change { shard: 0, key: key.to_owned(), content: format!("content of {key}"), judgement }
    }

    #[test]
    fn the_last_word_counts_and_only_what_is_new_is_counted() {
        let mut marks = Marks::default();
        let [poison, clean] = [Some(Judgement::Poison), Some(Judgement::Clean)];
        let made = marks.apply(&[change("a", poison), change("b", clean), change("c", None)], ("ann", Millis(1)));
        assert_eq!(made, Marked { poison: 1, clean: 1, taken_back: 0 });
        let made = marks.apply(&[change("a", poison), change("b", None), change("a", clean)], ("bob", Millis(2)));
        assert_eq!(made, Marked { poison: 0, clean: 1, taken_back: 1 });
        let all: Vec<&Mark> = marks.all().collect();
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].key.as_str(), all[0].judgement, all[0].by.as_str()), ("a", Judgement::Clean, "bob"));
        assert_eq!((marks.version, marks.count(Judgement::Clean), marks.count(Judgement::Poison)), (2, 1, 0));
        let text = serde_json::to_string(&marks).expect("is JSON");
        assert_eq!(serde_json::from_str::<Marks>(&text).expect("is read"), marks);
    }

    #[test]
    fn another_sample_under_the_same_key_was_not_looked_at() {
        let mut marks = Marks::default();
        marks.apply(&[change("a", Some(Judgement::Poison))], ("ann", Millis(1)));
        assert!(marks.of(0, "a", "content of a").is_some());
        assert!(marks.of(0, "a", "other content").is_none() && marks.of(1, "a", "content of a").is_none());
    }
}
