//! Where the shards of an audit lie now.
//!
//! It must never take a file for a shard by anything but the shard's whole name.

use std::collections::HashMap;

use lethe_evidence::artifacts::Shards;
use lethe_source::Source;

use crate::exit::bad_input;

/// Of what is wrong.
const SHOWN_SHARDS: usize = 5;

/// A path or URL for each shard, in the listing's order.
///
/// # Errors
/// Bad input: patterns that match nothing, or do not name every shard once.
pub fn of(shards: &Shards, patterns: &[String], source: &Source) -> anyhow::Result<Vec<String>> {
    if patterns.is_empty() {
        return Ok(shards.shards.iter().map(|shard| shard.path.clone()).collect());
    }
    let found = source.expand(patterns).map_err(|e| bad_input(e.to_string()))?;
    let names: Vec<&str> = shards.shards.iter().map(|shard| shard.name()).collect();
    let paths = matching(&names, &found).map_err(|problem| bad_input(format!("--shards: {problem}")))?;
    if paths.len() < found.len() {
        let more = found.len() - paths.len();
        eprintln!("--shards names {more} more files than the audit has shards; they are left alone");
    }
    Ok(paths)
}

fn matching(names: &[&str], paths: &[String]) -> Result<Vec<String>, String> {
    let mut by_base: HashMap<&str, Vec<&String>> = HashMap::new();
    for path in paths {
        by_base.entry(base(path)).or_default().push(path);
    }
    let (mut places, mut missing) = (Vec::new(), Vec::new());
    for name in names {
        let ends =
            |path: &&&String| path.strip_suffix(name).is_some_and(|folder| folder.is_empty() || folder.ends_with('/'));
        let fitting: Vec<&&String> = by_base.get(base(name)).into_iter().flatten().filter(ends).collect();
        match fitting[..] {
            [path] => places.push((*path).clone()),
            [] => missing.push(*name),
            _ => return Err(format!("{} and {} may both be shard {name}; name one", fitting[0], fitting[1])),
        }
    }
    if missing.is_empty() {
        return Ok(places);
    }
    let shown = missing[..missing.len().min(SHOWN_SHARDS)].join(", ");
    Err(format!("{} shards of the audit are not among the files, the first: {shown}", missing.len()))
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_found_by_their_whole_names() {
        let owned = |paths: &[&str]| -> Vec<String> { paths.iter().map(|path| (*path).to_owned()).collect() };
        let moved = owned(&["/new/b/0.tar", "/new/a/0.tar", "/new/a/10.tar"]);
        assert_eq!(matching(&["a/0.tar", "b/0.tar"], &moved), Ok(owned(&["/new/a/0.tar", "/new/b/0.tar"])));
        assert_eq!(matching(&["0.tar"], &owned(&["s3://b/0.tar"])), Ok(owned(&["s3://b/0.tar"])));
        assert_eq!(matching(&["0.tar"], &owned(&["0.tar"])), Ok(owned(&["0.tar"])));
        assert!(
            matching(&["0.tar"], &owned(&["/x/00.tar", "10.tar"])).expect_err("is not there").contains("first: 0.tar")
        );
        assert!(matching(&["0.tar"], &moved).expect_err("are two").contains("may both be"));
    }
}
