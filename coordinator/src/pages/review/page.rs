//! The page of suspects: what there is, what to show of it, and the suspects themselves in one form.
//!
//! It must never take in a caption or a key that is not escaped text.

use lethe_common::spec::Pictures as Allowed;
use lethe_evidence::artifacts::WordScore;
use maud::{Markup, html};

use super::PAGE;
use super::order::{Choice, PICTURES, SHOWS, SORTS, Wanted, chosen};
use super::row::row;
use crate::pages::sessions::Session;
use crate::report::count;
use crate::review::{Group, Judgement, Marks, Reviewed};

/// All that a page shows.
pub(super) struct Review<'a> {
    pub audit: &'a str,
    pub session: &'a Session,
    pub reviewed: &'a Reviewed,
    pub marks: &'a Marks,
    pub wanted: &'a Wanted,
    /// Of all that are wanted, in order.
    pub numbers: &'a [usize],
    pub allowed: Allowed,
    /// Whether the visitor may mark, and run again.
    pub may_change: bool,
}

impl Review<'_> {
    /// The page that is there, where the address wants one beyond the last.
    pub fn page(&self) -> usize {
        self.wanted.page().min(self.pages())
    }

    fn pages(&self) -> usize {
        self.numbers.len().div_ceil(PAGE).max(1)
    }

    pub fn shown(&self) -> &[usize] {
        let from = (self.page() - 1) * PAGE;
        &self.numbers[from..self.numbers.len().min(from + PAGE)]
    }

    fn address(&self, page: usize) -> String {
        format!("/audits/{}/review?{}", self.audit, self.wanted.query(page))
    }

    /// What the visitor wants of what the spec lets be shown.
    pub fn pictures(&self) -> Allowed {
        match (self.allowed, chosen(&PICTURES, &self.wanted.pictures)) {
            (Allowed::None, _) | (_, "none") => Allowed::None,
            (Allowed::Blur, _) | (_, "blur") => Allowed::Blur,
            (Allowed::Show, _) => Allowed::Show,
        }
    }
}

pub(super) fn review(review: &Review<'_>) -> Markup {
    let back = review.wanted.query(review.page());
    html! {
        p { a href={ "/audits/" (review.audit) } { "Audit " (review.audit) } }
        h1 { "Suspects" }
        (counts(review))
        @if review.may_change { (next_step(review)) }
        (filter(review))
        @if review.numbers.is_empty() { p.empty { "There are none of these." } }
        (pager(review, "Pages of suspects"))
        form #suspects method="post" action={ "/audits/" (review.audit) "/review/marks" } {
            input type="hidden" name="form" value=(review.session.form);
            input type="hidden" name="of" value=(review.reviewed.of.to_hex());
            input type="hidden" name="back" value=(back);
            ol.suspects start=[review.shown().first()] { @for number in review.shown() { (row(review, *number)) } }
        }
        (pager(review, "Pages of suspects, again"))
        @if review.may_change { (keys()) }
    }
}

fn counts(review: &Review<'_>) -> Markup {
    let (marks, all) = (review.marks, review.reviewed.suspects.rows.len() as u64);
    let [poison, clean] = [Judgement::Poison, Judgement::Clean].map(|judgement| marks.count(judgement));
    html! {
        p.counts {
            strong { (count(all)) } " suspects: "
            strong #poison { (count(poison)) } " marked as poison, "
            strong #clean { (count(clean)) } " as clean. "
            span #saved role="status" {}
        }
    }
}

fn next_step(review: &Review<'_>) -> Markup {
    html! {
        p.act {
            a.button href={ "/audits/" (review.audit) "/rerun" } { "Run again from these marks…" }
            " " button #help type="button" aria-keyshortcuts="?" hidden { "Keys" }
        }
    }
}

fn filter(review: &Review<'_>) -> Markup {
    let Wanted { sort, show, text, pictures, .. } = review.wanted;
    html! {
        form.filter method="get" action={ "/audits/" (review.audit) "/review" } role="search" {
            (select("sort", "Sort by", &SORTS, sort))
            (select("show", "Show", &SHOWS, show))
            @if !review.reviewed.clusters.is_empty() { (clusters(review)) }
            @if review.allowed == Allowed::Show { (select("pictures", "Pictures", &PICTURES, pictures)) }
            label { "Caption or key " input type="search" name="text" value=(text); }
            button { "Show" }
        }
    }
}

fn select(name: &str, label: &str, choices: &[Choice], wanted: &str) -> Markup {
    let wanted = chosen(choices, wanted);
    html! {
        label {
            (label) " "
            select name=(name) { @for (value, text) in choices { option value=(value) selected[*value == wanted] { (text) } } }
        }
    }
}

fn clusters(review: &Review<'_>) -> Markup {
    let wanted = review.wanted.cluster();
    html! {
        label {
            "Leading to "
            select name="cluster" {
                option value="" { "anything" }
                @for (at, group) in (0_u32..).zip(&review.reviewed.clusters) {
                    option value=(at) selected[wanted == Some(at)] { (named(group)) }
                }
            }
        }
    }
}

/// A cluster's strongest words, and whether a shortcut is behind it.
pub(super) fn named(group: &Group) -> String {
    let words: Vec<String> = group.words.iter().take(3).map(|WordScore { word, .. }| format!("“{word}”")).collect();
    let words = if words.is_empty() { "no common word".to_owned() } else { words.join(", ") };
    match group.is_shortcut {
        Some(true) => format!("{words}: a shortcut"),
        Some(false) => format!("{words}: no shortcut"),
        None => words,
    }
}

fn pager(review: &Review<'_>, label: &str) -> Markup {
    let (page, pages) = (review.page(), review.pages());
    let from = (page - 1) * PAGE;
    html! {
        @if !review.numbers.is_empty() {
            nav.pager aria-label=(label) {
                @if page > 1 { a rel="prev" href=(review.address(page - 1)) { "Previous page" } " " }
                span {
                    (count(from as u64 + 1)) " to " (count((from + review.shown().len()) as u64)) " of " (count(review.numbers.len() as u64))
                }
                @if page < pages { " " a rel="next" href=(review.address(page + 1)) { "Next page" } }
            }
        }
    }
}

/// What `review.js` takes for a key.
fn keys() -> Markup {
    let keys = [
        ("j or ↓", "the next suspect"),
        ("k or ↑", "the one before"),
        ("p", "poison, and on to the next"),
        ("c", "clean, and on to the next"),
        ("u", "take back the last mark, or that of this suspect"),
        ("?", "this help"),
    ];
    html! {
        dialog #keys aria-labelledby="keys-title" {
            h2 #keys-title { "Keys" }
            p { "They work while the list of suspects has the focus." }
            dl { @for (key, what) in keys { dt { kbd { (key) } } dd { (what) } } }
            form method="dialog" { button.primary { "Close" } }
        }
    }
}
