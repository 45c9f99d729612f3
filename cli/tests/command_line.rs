//! What scripts and terminals may rely on: exit codes, plain text where nobody asked for more, completions, manual pages.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

const ESCAPE: u8 = 0x1b;

fn lethe(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lethe"));
    command.args(arguments);
    for variable in ["LETHE_COORDINATOR", "LETHE_TLS", "LETHE_TOKEN", "NO_COLOR", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    command
}

fn run(arguments: &[&str]) -> Output {
    lethe(arguments).output().expect("runs")
}

/// Runs a command on a terminal of its own, which python3 has, and gives what it printed there.
fn on_a_terminal(arguments: &[&str], variables: &[(&str, &str)]) -> Vec<u8> {
    const SPAWN: &str = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)";
    let mut command = Command::new("python3");
    command.args(["-c", SPAWN, env!("CARGO_BIN_EXE_lethe")]).args(arguments);
    command.env("TERM", "xterm-256color").env_remove("NO_COLOR").envs(variables.iter().copied());
    command.output().expect("python3 runs").stdout
}

/// docs/cli.md's table: code and meaning.
fn documented() -> BTreeMap<i32, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    let text = std::fs::read_to_string(path).expect("is there");
    let section =
        text.split("## Exit codes").nth(1).expect("has the section").split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        Some((cells.next()?.parse().ok()?, cells.next()?.to_owned()))
    });
    rows.collect()
}

#[test]
fn exit_codes_are_those_of_the_table() {
    let table = documented();
    assert_eq!(table.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 130]);
    let cases: [(&[&str], i32); 7] = [
        (&["--version"], 0),
        (&["audit", "--help"], 0),
        (&["list", "--coordinator", "http://127.0.0.1:1"], 4),
        (&["list", "--coordinator", "http://10.0.0.1:1"], 2),
        (&["audit", "/nonexistent/audit.toml"], 2),
        (&["verify", "/nonexistent/result"], 2),
        (&["no-such-command"], 2),
    ];
    for (arguments, code) in cases {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn nothing_but_a_terminal_is_sent_escape_codes() {
    let cases: [&[&str]; 5] = [
        &["--help"],
        &["no-such-command"],
        &["audit", "/nonexistent/audit.toml"],
        &["list", "--coordinator", "http://127.0.0.1:1"],
        &["doctor"],
    ];
    for arguments in cases {
        // Logs as well, all of them.
        let output = lethe(arguments).env("LETHE_LOG", "trace").env("CLICOLOR", "1").output().expect("runs");
        let said = [output.stdout, output.stderr].concat();
        assert!(!said.contains(&ESCAPE), "{arguments:?} says {:?}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn a_terminal_has_colours_unless_its_user_wants_none() {
    let coloured = on_a_terminal(&["--help"], &[]);
    assert!(coloured.contains(&ESCAPE), "this test would see none: {:?}", String::from_utf8_lossy(&coloured));
    for arguments in [&["--help"][..], &["audit", "/nonexistent/audit.toml"], &["no-such-command"]] {
        let plain = on_a_terminal(arguments, &[("NO_COLOR", "1")]);
        assert!(!plain.is_empty() && !plain.contains(&ESCAPE), "{arguments:?}: {:?}", String::from_utf8_lossy(&plain));
    }
}

/// What bash would offer for the last of these words.
fn completed(words: &[&str], folder: &Path) -> Vec<String> {
    let script = folder.join("lethe.bash");
    std::fs::write(&script, run(&["completions", "bash"]).stdout).expect("writes");
    let line = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let at = words.len() - 1;
    let ask = format!(
        "source {}; COMP_WORDS=({line}); COMP_CWORD={at}; _lethe_with_audits lethe \"${{COMP_WORDS[{at}]}}\" \
         \"${{COMP_WORDS[{at}-1]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display()
    );
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let output = Command::new("bash").args(["-c", &ask]).env("PATH", path).env("LETHE_COORDINATOR", "x").output();
    let text = String::from_utf8(output.expect("bash runs").stdout).expect("is text");
    text.lines().map(str::to_owned).filter(|line| !line.is_empty()).collect()
}

#[test]
fn bash_completes_commands_options_and_the_ids_of_audits() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("makes a folder");
    // Stands for the command that asks a coordinator.
    let fake = folder.path().join("lethe");
    std::fs::write(&fake, "#!/bin/sh\n[ \"$1\" = ids ] && printf 'march\\nmay\\napril\\n'\n").expect("writes");
    std::fs::set_permissions(&fake, PermissionsExt::from_mode(0o755)).expect("may be run");
    assert_eq!(completed(&["lethe", "scru"], folder.path()), ["scrub"]);
    assert!(completed(&["lethe", "audit", "--dry"], folder.path()).contains(&"--dry-run".to_owned()));
    assert_eq!(completed(&["lethe", "show", "ma"], folder.path()), ["march", "may"]);
    assert_eq!(completed(&["lethe", "show", "--out"], folder.path()), ["--output"]);
}

#[test]
fn ids_say_nothing_where_nobody_answers() {
    let output = run(&["ids", "--coordinator", "http://127.0.0.1:1"]);
    assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
}
