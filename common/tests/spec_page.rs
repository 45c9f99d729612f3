//! docs/spec.md has every key that a spec may have, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lethe_common::spec::Spec;

/// By heading the keys that its table lists.
fn page() -> BTreeMap<String, BTreeSet<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/spec.md");
    let text = std::fs::read_to_string(path).expect("is there");
    let mut sections: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut headings: Vec<String> = Vec::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            // One table may be of several sections: every other part between backticks is one.
            headings = heading.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        } else if let Some((key, _)) = line.strip_prefix("| `").and_then(|row| row.split_once('`')) {
            for heading in &headings {
                sections.entry(heading.clone()).or_default().insert(key.to_owned());
            }
        }
    }
    sections
}

/// The keys that a table of a spec may have, as whoever reads one is told of a key that it may not.
fn keys(table: &str) -> BTreeSet<String> {
    let error = toml::from_str::<Spec>(&format!("{table}\nno-such-key = 1\n")).expect_err("has an unknown key");
    let (_, expected) = error.message().split_once("expected").unwrap_or_else(|| panic!("{table}: {error}"));
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_key_of_a_spec_is_on_its_page_and_no_other() {
    let page = page();
    for section in keys("") {
        let heading = format!("[{section}]");
        assert_eq!(page.get(&heading), Some(&keys(&heading)), "{heading}");
    }
    for (heading, table) in [
        ("[data.stores.\"URL\"]", "[data.stores.\"s3://b\"]"),
        ("[overfit.gang]", "[overfit.gang]"),
        ("[stand_in.gang]", "[stand_in.gang]"),
        ("[unlearn.gang]", "[unlearn.gang]"),
        ("[train.gang]", "[train.gang]"),
    ] {
        assert_eq!(page.get(heading), Some(&keys(table)), "{heading}");
    }
}
