//! What a spec may name: paths under the roots, and stores of the list, that the operator gave.
//!
//! It must never open what it looks at. A link is followed as far as it can be seen from here: workers may see more.

use std::path::{Path, PathBuf};

use lethe_common::spec::{Spec, StoreUrl};

/// On loopback, where whoever has the token could read everything anyway, any place will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Places {
    Any,
    Only { roots: Vec<PathBuf>, stores: Vec<StoreUrl> },
}

impl Places {
    /// # Errors
    /// The first place of a spec that it may not name, and what would let it.
    pub(super) fn check(&self, spec: &Spec) -> Result<(), String> {
        let Self::Only { roots, stores } = self else { return Ok(()) };
        for (field, path) in paths(spec) {
            if !is_under(path, roots) {
                return Err(format!(
                    "{field}: {} lies under none of this coordinator's --root folders ({})",
                    path.display(),
                    listed(roots.iter().map(|root| root.display().to_string()))
                ));
            }
        }
        for (url, section) in &spec.data.stores {
            // An endpoint is where the bucket's name and the credentials are sent.
            for url in std::iter::once(url).chain(&section.endpoint) {
                let store = StoreUrl::split(url).map_err(|problem| format!("data.stores: {url}: {problem}"))?.0;
                if !stores.contains(&store) {
                    let known = listed(stores.iter().map(ToString::to_string));
                    return Err(format!("data.stores: {store} is none of this coordinator's --store-url ({known})"));
                }
            }
        }
        Ok(())
    }
}

fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    if names.is_empty() { "it has none".to_owned() } else { names.join(", ") }
}

/// Every path of a spec, with its field. Shards named by URL are their stores'.
fn paths(spec: &Spec) -> Vec<(&'static str, &Path)> {
    let model = &spec.model;
    let mut paths = vec![("model.config", model.config.as_path())];
    let optional =
        [("model.checkpoint", &model.checkpoint), ("model.trusted", &model.trusted), ("model.early", &model.early)];
    paths.extend(optional.into_iter().filter_map(|(field, path)| Some((field, path.as_deref()?))));
    let shards = spec.data.shards.iter().filter(|shard| !shard.contains("://"));
    paths.extend(shards.map(|shard| ("data.shards", Path::new(shard))));
    let files = spec.data.stores.values().filter_map(|store| store.credentials_file.as_deref());
    paths.extend(files.map(|file| ("data.stores.credentials_file", file)));
    paths
}

/// Braces and globs expand within a component or to further ones, and `..` is no name: what is written decides. The part that
/// exists is looked at as the system resolves it.
fn is_under(path: &Path, roots: &[PathBuf]) -> bool {
    // A brace may hold slashes and steps up, {a,../../etc}, and ranges, {000..999}.
    let text = path.to_string_lossy();
    let steps_out = text.split(['/', '{', '}', ',']).any(|part| part == "..");
    if !path.is_absolute() || steps_out {
        return false;
    }
    let seen = path.ancestors().find_map(|part| part.canonicalize().ok());
    roots.iter().any(|root| {
        let real = root.canonicalize().unwrap_or_else(|_| root.clone());
        path.starts_with(root) && seen.as_ref().is_none_or(|seen| seen.starts_with(&real) || real.starts_with(seen))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn spec(shards: &str, config: &str) -> Spec {
        let json = serde_json::json!({
            "audit": { "id": "drill", "plan": "train" },
            "model": { "config": config },
            "data": { "shards": [shards] },
        });
        serde_json::from_value(json).expect("is a spec")
    }

    #[test]
    fn a_path_lies_under_a_root_however_it_is_written() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let root = folder.path().join("data");
        std::fs::create_dir_all(root.join("in")).expect("makes folders");
        symlink("/etc", root.join("out")).expect("links");
        let places = Places::Only { roots: vec![root.clone()], stores: Vec::new() };
        let at = |rest: &str| format!("{}/{rest}", root.display());
        for good in ["in/{000..999}.tar", "new/*.parquet", "in"] {
            assert_eq!(places.check(&spec(&at(good), &at("m.json"))), Ok(()), "{good}");
        }
        for bad in ["out/passwd", "../secret", "in/../../secret", "{in,../secret}/*", "in/{a..b}/../../x"] {
            assert!(places.check(&spec(&at(bad), &at("m.json"))).is_err(), "{bad}");
        }
        for bad in ["/etc/passwd", "relative", &format!("{}-other/x", root.display())] {
            let refused = places.check(&spec(&at("in"), bad)).expect_err(bad);
            assert!(refused.starts_with("model.config: ") && refused.contains("--root"), "{refused}");
        }
        assert_eq!(Places::Any.check(&spec("/etc/x", "/etc/y")), Ok(()));
    }

    #[test]
    fn a_store_is_on_the_list_and_so_is_where_its_credentials_go() {
        let store = |url: &str| StoreUrl::split(url).expect("is one").0;
        let places =
            Places::Only { roots: vec!["/data".into()], stores: vec![store("s3://ours"), store("https://s3.example")] };
        let with = |url: &str, section: serde_json::Value| {
            let mut spec = spec("/data/x", "/data/m.json");
            spec.data.stores.insert(url.to_owned(), serde_json::from_value(section).expect("is a section"));
            spec
        };
        let nothing = || serde_json::json!({});
        assert_eq!(places.check(&with("s3://ours", nothing())), Ok(()));
        assert_eq!(places.check(&with("s3://ours", serde_json::json!({"endpoint": "https://s3.example"}))), Ok(()));
        for (url, section) in [
            ("s3://theirs", nothing()),
            ("https://evil.example", nothing()),
            ("s3://ours", serde_json::json!({"endpoint": "https://evil.example"})),
        ] {
            let refused = places.check(&with(url, section)).expect_err(url);
            assert!(refused.contains("--store-url (s3://ours, https://s3.example)"), "{refused}");
        }
        let leaked = with("s3://ours", serde_json::json!({"credentials_file": "/root/.aws/credentials"}));
        assert!(places.check(&leaked).expect_err("is outside").starts_with("data.stores.credentials_file"));
    }
}
