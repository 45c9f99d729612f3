//! docs/operations.md's sizing tables are what `lethe plan` prints, and what it cannot use is refused.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What a line of the page begins with that shows a command.
const PROMPT: &str = "    $ lethe plan ";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("lies in the workspace").to_owned()
}

fn plan(words: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lethe"));
    command.current_dir(root()).arg("plan").args(words.split_whitespace());
    command.output().expect("runs")
}

/// Each command that the page shows, and the lines that follow it up to the end of its block.
fn shown(page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(words) = line.strip_prefix(PROMPT) else { continue };
        let mut text = String::new();
        while let Some(line) =
            lines.next_if(|line| (line.is_empty() || line.starts_with("    ")) && !line.starts_with("    $ "))
        {
            text += line.strip_prefix("    ").unwrap_or_default();
            text.push('\n');
        }
        found.push((words.to_owned(), text.trim_end().to_owned()));
    }
    found
}

#[test]
fn the_page_shows_what_the_command_prints() {
    let page = std::fs::read_to_string(root().join("docs/operations.md")).expect("is there");
    let shown = shown(&page);
    assert!(shown.len() >= 4, "docs/operations.md shows {} plans", shown.len());
    assert!(
        shown.iter().any(|(words, _)| words == "--samples 2e9 --model ViT-L-14 --gpus 64"),
        "the first question is gone"
    );
    assert!(shown.iter().any(|(words, _)| words.contains("--measured")), "no measured run is shown");
    for (words, text) in shown {
        let output = plan(&words);
        let printed = String::from_utf8(output.stdout).expect("is text");
        // Where the page shows the table alone, it ends in dots.
        match text.strip_suffix("...") {
            Some(begin) => assert!(printed.starts_with(begin.trim_end()), "lethe plan {words} prints\n{printed}"),
            None => assert_eq!(text, printed.trim_end(), "lethe plan {words}"),
        }
    }
}

/// Rows such as `| ViT-L-14 | 48 | 252 |`, under the heads `400 M pairs` and `2 B pairs`.
#[test]
fn the_pages_gpus_are_the_fewest_that_the_command_finds() {
    let page = std::fs::read_to_string(root().join("docs/operations.md")).expect("is there");
    let head = "| within 24 h | 400 M pairs | 2 B pairs |";
    let rows: Vec<Vec<&str>> = page
        .lines()
        .skip_while(|line| *line != head)
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() >= 3, "docs/operations.md has no table {head}");
    for row in rows {
        for (samples, shown) in ["400e6", "2e9"].iter().zip(&row[1..]) {
            let output = plan(&format!("--samples {samples} --model {} --within 24h --output json", row[0]));
            let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("is JSON");
            assert_eq!(told["gpus"].to_string(), *shown, "{row:?} with {samples} pairs");
        }
    }
}

#[test]
fn what_cannot_be_planned_is_bad_input() {
    let cases = [
        ("--samples 2e9 --model ViT-L-14", "--gpus"),
        ("--samples 0 --model ViT-L-14 --gpus 1", "2e9"),
        ("--samples 2e9 --model ViT-Z-9 --gpus 1", "ViT-L-14"),
        ("--samples 2e9 --model ViT-L-14 --gpus 0", "0"),
        ("--samples 2e9 --model ViT-L-14 --within soon", "24h"),
        ("--samples 2e9 --model ViT-L-14 --within 1s", "no GPU makes shorter"),
        ("--samples 2e9 --model ViT-L-14 --gpus 1 --within 1h", "cannot be used with"),
        ("--measured /nonexistent", "result folder"),
        ("--samples 2e9 --model ViT-L-14 --gpus 1 --rate nan", "above 0"),
    ];
    for (words, told) in cases {
        let output = plan(words);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{words}: {text}");
        assert!(text.contains(told), "{words}: {text}");
        assert!(output.stdout.is_empty(), "{words}");
    }
}

#[test]
fn programs_get_the_figures_of_the_table() {
    let output = plan("--samples 4e8 --model ViT-B-32 --gpus 16 --rate 1000 --output json");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("is JSON");
    let seconds = |phase: &serde_json::Value| phase["seconds"].as_f64().expect("is a number");
    let phases = told["phases"].as_array().expect("lists them");
    assert!((phases.iter().map(seconds).sum::<f64>() - seconds(&told)).abs() < 1e-6);
    let score = phases.iter().find(|phase| phase["name"] == "score").expect("is a phase");
    assert!((seconds(score) / (4e8 / 16_000.0) - 1.0).abs() < 0.02, "{score}");
}
