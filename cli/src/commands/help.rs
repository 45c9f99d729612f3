//! `lethe completions` and `lethe man`.
//!
//! They must never say of a command what its own help does not.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use clap::CommandFactory;
use clap_complete::generate;
use serde_json::json;

use crate::arguments::{Arguments, Completions, Format, Manual, Shell};
use crate::cluster::sibling;
use crate::exit::Ending;

/// The processes that a cluster is made of; each has a page, which it renders itself.
const SERVERS: [&str; 2] = ["lethe-coordinator", "lethe-worker"];

/// What ends each script: the commands that begin with an audit's id complete it by asking the coordinator.
const BASH: &str = include_str!("help/audits.bash");
const ZSH: &str = include_str!("help/audits.zsh");
const FISH: &str = include_str!("help/audits.fish");
/// What clap's script for zsh begins the first word of those commands with.
const ZSH_ID: &str = "':audit -- ";

pub fn completions(arguments: &Completions) -> anyhow::Result<Ending> {
    let script = script(arguments.shell)?;
    std::io::stdout().write_all(script.as_bytes()).context("cannot write the completions")?;
    Ok(Ending::Accepted)
}

fn script(shell: Shell) -> anyhow::Result<String> {
    let (of, ends) = match shell {
        Shell::Bash => (clap_complete::Shell::Bash, BASH),
        Shell::Zsh => (clap_complete::Shell::Zsh, ZSH),
        Shell::Fish => (clap_complete::Shell::Fish, FISH),
    };
    let mut bytes = Vec::new();
    generate(of, &mut Arguments::command(), "lethe", &mut bytes);
    let script = String::from_utf8(bytes).context("the completions are not UTF-8")?;
    Ok(match shell {
        // zsh loads the file as a function and calls it at its end: what it needs must come before.
        Shell::Zsh => with_ids(&script).replacen("\n_lethe() {", &format!("\n{ends}\n_lethe() {{"), 1),
        Shell::Bash | Shell::Fish => format!("{script}\n{ends}"),
    })
}

fn with_ids(zsh: &str) -> String {
    let line = |line: &str| match line.starts_with(ZSH_ID) {
        true => format!("{}\n", line.replace(":_default", ":_lethe_audits")),
        false => format!("{line}\n"),
    };
    zsh.lines().map(line).collect()
}

pub fn manual(arguments: &Manual) -> anyhow::Result<Ending> {
    let out = &arguments.out;
    std::fs::create_dir_all(out).with_context(|| format!("cannot make the folder {}", out.display()))?;
    let mut pages = Vec::new();
    for (name, page) in own_pages()? {
        pages.push(written(out, &name, &page)?);
    }
    for name in SERVERS {
        pages.push(written(out, name, &page_of(name)?)?);
    }
    match arguments.output {
        Format::Text => println!("{} pages in {}", pages.len(), out.display()),
        Format::Json => println!("{:#}", json!({"pages": pages})),
    }
    Ok(Ending::Accepted)
}

/// A page for every command that is shown.
fn own_pages() -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut command = Arguments::command();
    command.build();
    let (mut pages, mut left) = (Vec::new(), vec![("lethe".to_owned(), command)]);
    while let Some((name, command)) = left.pop() {
        let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help");
        left.extend(shown.map(|sub| (format!("{name}-{}", sub.get_name()), sub.clone())));
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        pages.push((name, page));
    }
    Ok(pages)
}

fn page_of(name: &str) -> anyhow::Result<Vec<u8>> {
    let program = sibling(name)?;
    let asked = Command::new(&program).arg("--man").output();
    let output = asked.with_context(|| format!("cannot start {}", program.display()))?;
    ensure!(output.status.success(), "{} --man: {}", program.display(), String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

fn written(out: &Path, name: &str, page: &[u8]) -> anyhow::Result<PathBuf> {
    let path = out.join(format!("{name}.1"));
    std::fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shown_command_has_a_page_with_its_example() {
        let pages = own_pages().expect("renders");
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert!(["lethe", "lethe-audit", "lethe-pki-issue"].iter().all(|name| names.contains(name)), "{names:?}");
        assert!(!names.iter().any(|name| name.ends_with("-swarm") || name.ends_with("-ids")), "{names:?}");
        let (_, page) = pages.iter().find(|(name, _)| name == "lethe-submit").expect("is there");
        let page = String::from_utf8_lossy(page);
        assert!(page.contains("lethe submit audit.toml"), "{page}");
    }

    #[test]
    fn every_shell_asks_for_the_ids_of_audits() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell).expect("renders");
            assert!(script.contains("lethe ids"), "{shell:?}");
            for command in ["show", "watch", "pause", "resume", "approve", "cancel", "fetch", "mark", "marks", "rerun"]
            {
                let listed = script.lines().filter(|line| line.contains("approve") && line.contains("cancel"));
                let is_listed =
                    listed.flat_map(str::split_whitespace).any(|word| word.trim_end_matches([')', ';']) == command);
                assert!(is_listed || matches!(shell, Shell::Zsh), "{shell:?} does not ask for {command}");
            }
        }
        let zsh = script(Shell::Zsh).expect("renders");
        let asks = zsh.lines().filter(|line| line.ends_with(":_lethe_audits' \\")).count();
        assert_eq!(
            asks, 10,
            "show, watch, pause, resume, approve, cancel, fetch, mark, marks and rerun; or clap writes the word otherwise by now"
        );
    }
}
