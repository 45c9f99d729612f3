//! The page a person reads at the end of an audit: one HTML file that needs no network and no script.
//!
//! It must never trust a caption, a key or a reason: all of them are escaped text.

mod appendix;
mod figures;
mod findings;
mod gallery;
mod opening;
mod words;

pub(crate) use gallery::heat;
pub(crate) use words::{count, duration, plural};

use lethe_common::spec::Spec;
use lethe_evidence::artifacts::{Exhibit, Picture, Report, Shards, Training};
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("style.css");

/// Nothing may be loaded or run, whatever a caption manages to say.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// All that the page shows.
#[derive(Debug)]
pub struct Page<'a> {
    pub report: &'a Report,
    /// The most suspicious first.
    pub exhibits: &'a [Exhibit],
    /// What the pictures of each of the report's clusters have in common, where that is clear.
    pub in_common: &'a [Option<Picture>],
    pub spec: &'a Spec,
    pub shards: &'a Shards,
    /// Each gang's training under its phase's name.
    pub trainings: &'a [(String, Training)],
}

/// The whole file. Equal inputs give equal bytes.
pub fn render(page: &Page<'_>) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(page.report))
            body {
                (opening::opening(page))
                main {
                    (findings::removal(page))
                    (findings::words(page))
                    (findings::clusters(page))
                    (findings::exhibits(page))
                    (findings::scores(page))
                    (appendix::next_steps(page))
                    (appendix::course(page))
                    (appendix::small_print(page))
                }
                footer { "Written by Lethe " (env!("CARGO_PKG_VERSION")) " for the audit " code { (page.report.audit) } "." }
            }
        }
    }
    .into_string()
}

fn head(report: &Report) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta http-equiv="Content-Security-Policy" content=(POLICY);
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="referrer" content="no-referrer";
            title { (report.headline) " – " (report.audit) }
            style { (PreEscaped(STYLE)) }
        }
    }
}

#[cfg(test)]
mod tests;
