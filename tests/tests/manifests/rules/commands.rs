//! Command lines are those that the binaries take: they are run with them, and end at the first file that is not there.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::documents::{Documents, text};
use crate::pods::{command_line, pods};
use crate::tools;

/// Images, and the program that each holds.
const PROGRAMS: [(&str, &str); 6] = [
    ("lethe-coordinator", "lethe-coordinator"),
    ("lethe-worker", "lethe-worker"),
    ("lethe-worker-cuda", "lethe-worker"),
    ("lethe-etcd", "etcd"),
    ("lethe-etcd", "etcdctl"),
    ("lethe", "lethe"),
];

/// What was run before, since most overlays say the same.
static KNOWN: Mutex<BTreeMap<Vec<String>, Option<String>>> = Mutex::new(BTreeMap::new());

pub fn check(documents: &Documents) -> Vec<String> {
    let mut problems = Vec::new();
    for pod in &pods(documents) {
        for container in pod.containers() {
            let (program, words) = match command_line(documents, pod, container) {
                Ok(line) => line,
                Err(problem) => {
                    problems.push(problem);
                    continue;
                }
            };
            let image = text(container, "/image");
            let (path, _) = image.rsplit_once(':').unwrap_or((image, ""));
            let name = path.rsplit('/').next().unwrap_or_default();
            if !PROGRAMS.contains(&(name, program.as_str())) {
                problems.push(format!("{}: no image {name} with a program {program} is made here", pod.owner));
                continue;
            }
            problems.extend(refusal(&program, words).map(|told| format!("{}: {program}: {told}", pod.owner)));
        }
    }
    problems
}

/// What a program has against its arguments.
fn refusal(program: &str, words: Vec<String>) -> Option<String> {
    let mut key = vec![program.to_owned()];
    key.extend(words.iter().cloned());
    let mut known = KNOWN.lock().expect("no rule panicked");
    known
        .entry(key)
        .or_insert_with(|| match program {
            "etcd" => of_etcd(&words),
            // It is not beside the tests' etcd; `by_hand` holds its words to etcd's.
            "etcdctl" => None,
            _ => of_ours(program, &words),
        })
        .clone()
}

/// Ours end with a usage where arguments are wrong, before they look for any file.
fn of_ours(program: &str, words: &[String]) -> Option<String> {
    let output = tools::run(program, words);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{program} {words:?} ran, without the folders of a pod");
    let is_usage = told.contains("Usage:") || told.contains("For more information, try '--help'");
    is_usage.then(|| told.lines().next().unwrap_or_default().to_owned())
}

/// etcd would run: its flags are looked up in its help.
fn of_etcd(words: &[String]) -> Option<String> {
    let help = tools::run("etcd", &["--help".to_owned()]);
    let help = String::from_utf8_lossy(&help.stdout).into_owned() + &String::from_utf8_lossy(&help.stderr);
    let flags = words.iter().map(|word| word.split('=').next().unwrap_or_default());
    let known: Vec<&str> = help.split_whitespace().collect();
    flags.into_iter().find(|flag| !known.contains(flag)).map(|flag| format!("etcd knows no {flag}"))
}
