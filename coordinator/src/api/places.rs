//! What a spec may name: paths under the roots, and stores of the list, that the operator gave.
//!
//! It must never open what it looks at. A link is followed as far as it can be seen from here: workers may see more.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use lethe_common::spec::{Spec, StoreSection, StoreUrl};
use tokio::time::timeout;
use tonic::Status;

const LOOK_DEADLINE: Duration = Duration::from_secs(10);

/// On loopback, where whoever has the token could read everything anyway, any place will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Places {
    Any,
    Only { roots: Vec<PathBuf>, stores: Vec<StoreUrl> },
}

impl Places {
    /// Looks on a thread of its own, within a deadline: a root may lie on a file system that hangs.
    ///
    /// # Errors
    /// The first place of a spec that it may not name, and what would let it.
    pub(super) async fn check(&self, spec: &Spec) -> Result<(), Status> {
        let Self::Only { roots, stores } = self.clone() else { return Ok(()) };
        let spec = spec.clone();
        let looking = tokio::task::spawn_blocking(move || allowed(&spec, &roots, &stores));
        match timeout(LOOK_DEADLINE, looking).await {
            Ok(Ok(found)) => found.map_err(Status::permission_denied),
            Ok(Err(panic)) => Err(Status::internal(format!("the spec's places could not be looked at: {panic}"))),
            Err(_elapsed) => Err(Status::deadline_exceeded(format!(
                "the spec's places could not be looked at within {} s; does a file system hang?",
                LOOK_DEADLINE.as_secs()
            ))),
        }
    }
}

fn allowed(spec: &Spec, roots: &[PathBuf], stores: &[StoreUrl]) -> Result<(), String> {
    let roots: Vec<Root> = roots.iter().map(|root| Root::of(root)).collect();
    for (field, path) in paths(spec) {
        is_under(field, path, &roots)?;
    }
    for (url, section) in &spec.data.stores {
        for url in dialled(url, section) {
            is_listed("data.stores", &url, stores)?;
        }
    }
    for pattern in &spec.data.shards {
        // What a pattern expands to is what is opened: a brace may hold a slash, a step up, or a store.
        for one in lethe_data::braces(pattern).map_err(|problem| format!("data.shards: {pattern:?}: {problem}"))? {
            match one.contains("://") {
                true => is_listed("data.shards", &one, stores)?,
                false => shard(&one, &roots)?,
            }
        }
    }
    Ok(())
}

/// Where a store's name and the credentials for it are sent.
fn dialled(url: &str, section: &StoreSection) -> Vec<String> {
    let account = section.account.as_ref().map(|account| format!("https://{account}.blob.core.windows.net"));
    std::iter::once(url.to_owned()).chain(section.endpoint.clone()).chain(account).collect()
}

fn is_listed(field: &str, url: &str, stores: &[StoreUrl]) -> Result<(), String> {
    let store = StoreUrl::split(url).map_err(|problem| format!("{field}: {url}: {problem}"))?.0;
    if stores.contains(&store) {
        return Ok(());
    }
    let known = listed(stores.iter().map(ToString::to_string));
    Err(format!("{field}: {store} is none of this coordinator's --store-url ({known}); whoever runs it can add it"))
}

fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    if names.is_empty() { "it has none".to_owned() } else { names.join(", ") }
}

/// Every path of a spec but its shards, with its field.
fn paths(spec: &Spec) -> Vec<(&'static str, &Path)> {
    let model = &spec.model;
    let mut paths = vec![("model.config", model.config.as_path())];
    let optional =
        [("model.checkpoint", &model.checkpoint), ("model.trusted", &model.trusted), ("model.early", &model.early)];
    paths.extend(optional.into_iter().filter_map(|(field, path)| Some((field, path.as_deref()?))));
    let files = spec.data.stores.values().filter_map(|store| store.credentials_file.as_deref());
    paths.extend(files.map(|file| ("data.stores.credentials_file", file)));
    paths
}

/// A pattern without braces. What a glob finds may be links.
fn shard(pattern: &str, roots: &[Root]) -> Result<(), String> {
    const FIELD: &str = "data.shards";
    is_under(FIELD, Path::new(pattern), roots)?;
    if !lethe_source::is_glob(pattern) {
        return Ok(());
    }
    let found = lethe_source::local_files(Path::new(pattern));
    let found = found.map_err(|error| format!("{FIELD}: {pattern} cannot be listed here: {error}"))?;
    found.iter().try_for_each(|file| is_under(FIELD, Path::new(file), roots))
}

/// A folder that paths may lie under, as it is written and as the system resolves it.
struct Root {
    written: PathBuf,
    /// Absent where there is no such folder here.
    real: Option<PathBuf>,
}

impl Root {
    fn of(path: &Path) -> Self {
        Self { written: path.to_owned(), real: path.canonicalize().ok() }
    }

    /// By what is written, and by what exists of it: the file, or the nearest folder above.
    fn holds(&self, path: &Path, seen: Option<&Path>) -> bool {
        let is_real = match &self.real {
            Some(real) => seen.is_some_and(|seen| seen.starts_with(real)),
            None => true, // nothing of it can be read here
        };
        path.starts_with(&self.written) && is_real
    }
}

fn is_under(field: &str, path: &Path, roots: &[Root]) -> Result<(), String> {
    let steps_up = path.components().any(|part| part == Component::ParentDir);
    let seen = path.ancestors().find_map(|part| part.canonicalize().ok());
    if path.is_absolute() && !steps_up && roots.iter().any(|root| root.holds(path, seen.as_deref())) {
        return Ok(());
    }
    let known = listed(roots.iter().map(|root| root.written.display().to_string()));
    Err(format!(
        "{field}: {} lies under none of this coordinator's --root folders ({known}); move it there, or have one added",
        path.display()
    ))
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

    /// The message of a refusal.
    async fn refused(places: &Places, spec: &Spec) -> Option<String> {
        places.check(spec).await.err().map(|status| status.message().to_owned())
    }

    #[tokio::test]
    async fn a_path_lies_under_a_root_however_it_is_written() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let root = folder.path().join("data");
        std::fs::create_dir_all(root.join("in")).expect("makes folders");
        std::fs::create_dir(folder.path().join("secret")).expect("makes a folder");
        for file in ["data/in/x.tar", "secret/s.tar"] {
            std::fs::write(folder.path().join(file), "").expect("writes");
        }
        symlink(folder.path().join("secret"), root.join("out")).expect("links");
        symlink(folder.path(), root.join("up")).expect("links");
        let places = Places::Only { roots: vec![root.clone()], stores: Vec::new() };
        let at = |rest: &str| format!("{}/{rest}", root.display());
        for good in ["in/{000..999}.tar", "new/*.parquet", "in/*.tar", "{in,new}/x.tar", "in"] {
            assert_eq!(refused(&places, &spec(&at(good), &at("m.json"))).await, None, "{good}");
        }
        for bad in [
            "out/s.tar",
            "../secret/s.tar",
            "in/../../secret/s.tar",
            "{in,../secret}/s.tar",
            ".{./secret/s,/in/x}.tar", // two dots that the brace joins
            "{out,in}/s.tar",
            "*/s.tar", // a link that the glob finds
            "up/secret/s.tar",
            "{in/x.tar,s3://ours/y.tar}", // a store that is not listed
        ] {
            assert!(refused(&places, &spec(&at(bad), &at("m.json"))).await.is_some(), "{bad}");
        }
        let mixed = format!("{{{}/secret/s.tar,s3://ours/y.tar}}", folder.path().display());
        for bad in ["/etc/passwd", "relative", &format!("{}-other/x", root.display()), &mixed] {
            assert!(refused(&places, &spec(bad, &at("m.json"))).await.is_some(), "{bad}");
        }
        let refusal = refused(&places, &spec(&at("in"), "/etc/passwd")).await.expect("is outside");
        assert!(refusal.starts_with("model.config: ") && refusal.contains("--root"), "{refusal}");
        assert_eq!(refused(&Places::Any, &spec("/etc/x", "/etc/y")).await, None);
    }

    #[tokio::test]
    async fn a_store_is_on_the_list_and_so_is_where_its_credentials_go() {
        let store = |url: &str| StoreUrl::split(url).expect("is one").0;
        let places = Places::Only {
            roots: vec!["/data".into()],
            stores: vec![store("s3://ours"), store("az://ours"), store("https://s3.example")],
        };
        let with = |url: &str, section: serde_json::Value| {
            let mut spec = spec("/data/x", "/data/m.json");
            spec.data.stores.insert(url.to_owned(), serde_json::from_value(section).expect("is a section"));
            spec
        };
        let nothing = || serde_json::json!({});
        assert_eq!(refused(&places, &with("s3://ours", nothing())).await, None);
        let there = serde_json::json!({"endpoint": "https://s3.example"});
        assert_eq!(refused(&places, &with("s3://ours", there)).await, None);
        for (url, section) in [
            ("s3://theirs", nothing()),
            ("https://evil.example", nothing()),
            ("s3://ours", serde_json::json!({"endpoint": "https://evil.example"})),
            ("az://ours", serde_json::json!({"account": "theirs"})), // a host of its own
        ] {
            let refusal = refused(&places, &with(url, section)).await.expect(url);
            assert!(refusal.contains("--store-url (s3://ours, az://ours, https://s3.example)"), "{refusal}");
        }
        let leaked = with("s3://ours", serde_json::json!({"credentials_file": "/root/.aws/credentials"}));
        assert!(refused(&places, &leaked).await.expect("is outside").starts_with("data.stores.credentials_file"));
    }
}
