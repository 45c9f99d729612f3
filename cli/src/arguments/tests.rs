use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::*;

/// Prints a script, which is for a shell whatever one might ask.
const PRINTS_A_SCRIPT: &str = "lethe completions";
/// For other programs of ours: what they print is JSON, or lines, anyway.
const HIDDEN: [&str; 2] = ["lethe bench swarm", "lethe ids"];

/// Every command that can be run, with the words that run it.
fn leaves(path: &str, command: &clap::Command) -> Vec<(String, clap::Command)> {
    let path = format!("{path} {}", command.get_name()).trim().to_owned();
    if command.has_subcommands() {
        command.get_subcommands().flat_map(|sub| leaves(&path, sub)).collect()
    } else {
        vec![(path, command.clone())]
    }
}

fn every_leaf() -> Vec<(String, clap::Command)> {
    leaves("", &Arguments::command())
}

/// The lines of a help's example, those that a backslash continues as one.
fn examples(command: &clap::Command) -> Vec<String> {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let section = help.split_once("Example:\n").map(|(_, rest)| rest.split("\n\n").next().unwrap_or_default());
    let joined = section.unwrap_or_default().replace("\\\n", " ");
    joined.lines().map(|line| line.trim().to_owned()).collect()
}

/// As a shell would, but for what it would put in: that stays as it is.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            '>' if !quoted => break,
            c => word.push(c),
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

#[test]
fn every_help_ends_with_an_example_of_the_command() {
    Arguments::command().debug_assert();
    for (path, command) in every_leaf() {
        let end = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(end.starts_with(&format!("Example:\n  {path}")), "{path} --help ends with {end:?}");
    }
}

#[test]
fn every_example_is_taken_by_the_command_line_that_it_explains() {
    let mut taken = 0;
    for (path, command) in every_leaf() {
        for line in examples(&command).iter().filter(|line| line.starts_with("lethe ")) {
            let mut words = words(line);
            // Elsewhere it comes from the environment.
            if command.get_arguments().any(|argument| argument.get_id() == "coordinator" && argument.is_required_set())
            {
                words.extend(["--coordinator".to_owned(), "http://127.0.0.1:7400".to_owned()]);
            }
            match Arguments::try_parse_from(&words) {
                Ok(_) => taken += 1,
                Err(error) => panic!("{path} --help shows {line:?}, which is refused: {error}"),
            }
        }
    }
    assert!(taken > 30, "only {taken} examples were found");
}

#[test]
fn an_example_that_is_wrong_would_be_seen() {
    let wrong = Arguments::try_parse_from(words("lethe audit audit.toml --outt \"a folder\"")).expect_err("is refused");
    assert_eq!(wrong.kind(), ErrorKind::UnknownArgument);
    assert_eq!(
        words("lethe bench defence --data \"$(scripts/x.sh)\" > file"),
        ["lethe", "bench", "defence", "--data", "$(scripts/x.sh)"]
    );
}

#[test]
fn every_command_can_answer_programs() {
    for (path, command) in every_leaf() {
        let output = command.get_arguments().find(|argument| argument.get_id() == "output");
        let json =
            output.is_some_and(|output| output.get_possible_values().iter().any(|value| value.get_name() == "json"));
        assert!(json || path == PRINTS_A_SCRIPT || HIDDEN.contains(&path.as_str()), "{path} has no --output json");
    }
}
