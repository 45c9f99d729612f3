//! One shard of the audit, and what must leave it.

use std::path::{Component, Path, PathBuf};

use lethe_common::blob::Digest;
use lethe_data::Listed;
use lethe_evidence::artifacts::ShardEntry;

use crate::exit::bad_input;

pub struct Job {
    /// As the audit planned with it.
    pub entry: ShardEntry,
    /// Where it lies now.
    pub path: String,
    pub listed: Listed,
}

impl Job {
    pub fn name(&self) -> &str {
        self.entry.name()
    }

    pub fn is_file(&self) -> bool {
        !self.path.contains("://")
    }

    /// Its name as a path below a folder.
    ///
    /// # Errors
    /// A name that leaves the folder: no audit's listing has one.
    pub fn file(&self) -> anyhow::Result<PathBuf> {
        let normal = |part: Component<'_>| matches!(part, Component::Normal(_));
        let file = Path::new(self.name().trim_start_matches('/'));
        if file.as_os_str().is_empty() || !file.components().all(normal) {
            return Err(bad_input(format!("shard {:?} has a name that leaves its folder", self.name())));
        }
        Ok(file.to_owned())
    }

    /// Of what must leave it: another drop list has another.
    pub fn listed_digest(&self) -> Digest {
        let lines = self.listed.iter().map(|(key, content)| {
            let content = content.as_deref().unwrap_or("any");
            format!("{}:{key}:{content}\n", key.len())
        });
        Digest::of(lines.collect::<String>().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use lethe_common::pin::Pin;

    use super::*;

    pub fn job(name: &str, listed: &[(&str, Option<&str>)]) -> Job {
        let (pin, path) = (Pin::Digest(Digest::of(b"")), name.to_owned());
        let entry = ShardEntry { id: 0, name: name.to_owned(), path: path.clone(), size_bytes: 0, pin };
        let owned = |text: &str| text.to_owned();
        Job { entry, path, listed: listed.iter().map(|(key, hash)| (owned(key), hash.map(owned))).collect() }
    }

    #[test]
    fn a_name_stays_in_its_folder() {
        for (name, expected) in
            [("0.tar", "0.tar"), ("a/0.tar", "a/0.tar"), ("/d/0.tar", "d/0.tar"), ("s3://b/0", "s3:/b/0")]
        {
            assert_eq!(job(name, &[]).file().expect("stays"), Path::new(expected));
        }
        for name in ["../0.tar", "a/../../0.tar", "", "/", "."] {
            assert!(job(name, &[]).file().is_err(), "{name:?}");
        }
    }

    #[test]
    fn each_drop_list_has_a_digest_of_its_own() {
        let lists: [&[(&str, Option<&str>)]; 4] =
            [&[], &[("a", None)], &[("a", Some("1"))], &[("a", None), ("b", None)]];
        let digests: std::collections::BTreeSet<Digest> =
            lists.into_iter().map(|listed| job("0.tar", listed).listed_digest()).collect();
        assert_eq!(digests.len(), lists.len());
    }
}
