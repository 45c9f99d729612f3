//! Gives the binary the path of libtorch, so that nobody sets LD_LIBRARY_PATH, and the digest of the code that determines
//! what a drill or an audit comes to.

use std::fs;
use std::path::{Path, PathBuf};

/// What trains, scores, chooses and judges, under the workspace.
const METHOD: [&str; 9] = [
    "coordinator/src/plans",
    "coordinator/src/reduce",
    "data/src",
    "evidence/src",
    "model/csrc",
    "model/src",
    "redteam/src",
    "worker/src/programs",
    "common/src/spec",
];

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    if let Ok(libtorch) = std::env::var("LIBTORCH") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{libtorch}/lib");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut hasher = blake3::Hasher::new();
    for folder in METHOD {
        println!("cargo:rerun-if-changed=../{folder}");
        let mut files = Vec::new();
        collect(&root.join(folder), &mut files);
        files.sort();
        for file in files {
            let text = fs::read_to_string(&file).unwrap_or_default();
            hasher.update(file.strip_prefix(&root).expect("is under it").as_os_str().as_encoded_bytes());
            for line in code(&text) {
                hasher.update(line.as_bytes()).update(b"\n");
            }
        }
    }
    println!("cargo:rustc-env=LETHE_METHOD={}", &hasher.finalize().to_hex()[..12]);
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        match path.is_dir() {
            true if name == "tests" => {}
            true => collect(&path, files),
            false if name.starts_with("tests.") || name.ends_with("_tests.rs") => {}
            false => files.push(path),
        }
    }
}

/// Without comments, empty lines and the tests at a file's end, none of which changes a result.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(str::trim).take_while(|line| *line != "#[cfg(test)]");
    lines.filter(|line| !line.is_empty() && !line.starts_with("//"))
}
