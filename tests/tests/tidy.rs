//! The shape of the workspace: which crate may know which, what the engine may not see, where the truth may be named.
//!
//! It must never depend on what is built: it reads manifests, sources and Cargo's own account of dependencies.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each crate, and those of ours that it may depend on. The cli and the tests may see all.
const ARROWS: [(&str, &[&str]); 15] = [
    ("common", &[]),
    ("proto", &["common"]),
    ("engine", &["common"]),
    ("evidence", &["common"]),
    ("model", &["common"]),
    ("data", &["common"]),
    ("source", &["data", "common"]),
    ("collective", &["common"]),
    ("servers", &[]),
    ("tls", &[]),
    ("telemetry", &["common"]),
    ("coordinator", &["engine", "evidence", "proto", "common", "data", "source", "telemetry", "tls"]),
    ("worker", &["model", "data", "source", "evidence", "collective", "proto", "common", "telemetry", "tls"]),
    ("redteam", &["model", "data", "evidence", "common"]),
    ("simulation", &["engine", "common"]),
];

/// Crates that must build where there is no libtorch.
const WITHOUT_TORCH: [&str; 10] =
    ["common", "proto", "engine", "evidence", "data", "source", "telemetry", "tls", "coordinator", "servers"];

/// What would let time, chance, the network, tensors or a random order into a decision.
const IMPURE: [&str; 12] =
    ["tokio", "tonic", "tch", "rand", "time", "HashMap", "HashSet", "Instant", "SystemTime", "env", "fs", "net"];

/// What only a drill and its judges may name.
const TRUTH: [&str; 5] = ["truth/", "\"truth\"", "poisoned_keys", "lethe_redteam", "redteam::"];

/// Lines of a source file at most, its tests apart.
const MAX_LINES: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("lies in the workspace")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn member(path: &Path) -> toml::Table {
    read(&path.join("Cargo.toml")).parse().expect("is a manifest")
}

/// The folders of the workspace's crates.
fn members() -> Vec<String> {
    let workspace = member(root());
    let members = workspace["workspace"]["members"].as_array().expect("lists its members");
    members.iter().map(|name| name.as_str().expect("is a name").to_owned()).collect()
}

/// Every Rust source under a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("lists").path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(extension) if extension == "rs" => found.push(path),
                Some(_) | None => {}
            }
        }
    }
    found
}

#[test]
fn the_arrows_between_crates_point_one_way() {
    let known: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).chain(["cli", "tests"]).collect();
    let found = members();
    assert_eq!(found.iter().map(String::as_str).collect::<BTreeSet<_>>(), known, "a crate has no arrows here");
    for (name, allowed) in ARROWS {
        let manifest = member(&root().join(name));
        for section in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let names = manifest.get(section).and_then(toml::Value::as_table).into_iter().flat_map(|t| t.keys());
            for ours in names.filter_map(|key| key.strip_prefix("lethe-")) {
                // Any crate's tests may start servers.
                let for_tests = section == "dev-dependencies" && ours == "servers";
                assert!(allowed.contains(&ours) || for_tests, "{name} depends on {ours}; it may see only {allowed:?}");
            }
        }
    }
}

#[test]
fn no_torch_reaches_those_that_build_without_it() {
    for name in WITHOUT_TORCH {
        let needs = dependencies(name);
        let torch = needs.lines().find(|line| line.starts_with("tch ") || line.starts_with("torch-sys "));
        assert!(torch.is_none(), "{name} depends on {torch:?}, perhaps by way of others");
        assert!(needs.lines().count() > 1 || name == "common", "Cargo knows no dependency of {name}");
    }
}

/// What a crate needs on this platform to run and to build, one package a line.
fn dependencies(name: &str) -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let package = format!("lethe-{name}");
    let arguments = ["tree", "-p", &package, "-e", "normal,build", "--prefix", "none", "--locked", "--offline"];
    let output = Command::new(cargo).args(arguments).current_dir(root()).output().expect("runs cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("is text")
}

#[test]
fn the_engine_is_pure() {
    let files = sources(&root().join("engine/src"));
    assert!(files.len() > 10, "the engine lies elsewhere");
    for path in files {
        for (number, line) in read(&path).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            // Paths such as `std::time` and `tokio::spawn`; a field called time is no path.
            let path_parts = code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
            let found = path_parts.filter(|part| part.contains("::") || part.starts_with(char::is_uppercase)).find_map(
                |path| {
                    let parts: Vec<&str> = path.split("::").collect();
                    let ours = ["crate", "super", "self", "lethe_common"].contains(&parts[0]);
                    IMPURE.into_iter().find(|impure| !ours && parts.contains(impure))
                },
            );
            assert!(found.is_none(), "{}:{}: {found:?} in {code:?}", path.display(), number + 1);
        }
    }
}

#[test]
fn only_drills_name_the_truth() {
    for name in members().iter().filter(|name| !["redteam", "cli", "tests"].contains(&name.as_str())) {
        for path in sources(&root().join(name)) {
            let text = read(&path);
            let found = TRUTH.into_iter().find(|word| text.contains(word));
            assert!(found.is_none(), "{} names {found:?}, which only redteam, cli and tests may", path.display());
        }
    }
}

#[test]
fn no_source_file_grows_past_its_limit() {
    for path in members().iter().flat_map(|name| sources(&root().join(name).join("src"))) {
        let text = read(&path);
        let lines = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().lines().count();
        let tests = path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("tests"));
        assert!(
            tests || lines <= MAX_LINES,
            "{} has {lines} lines; split it by meaning at {MAX_LINES}",
            path.display()
        );
    }
}
