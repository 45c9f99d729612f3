//! Which suspects a page shows, and in what order: as its address says.
//!
//! It must never fail for an address that says something else: it is somebody's bookmark of another release.

use std::cmp::Ordering;

use lethe_evidence::SignalRow;
use lethe_evidence::artifacts::columns;
use serde::Deserialize;

use crate::review::{Judgement, Marks, Reviewed};

/// The part of a page's address behind the question mark.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    pub sort: String,
    pub show: String,
    pub cluster: String,
    pub text: String,
    pub pictures: String,
    pub page: String,
}

/// A choice by its name in the address, and as a person reads it.
pub(super) type Choice = (&'static str, &'static str);

pub(super) const SORTS: [Choice; 4] = [
    ("score", "most suspicious first"),
    ("least", "least suspicious first"),
    ("first", "first pass’s score"),
    ("caption", "caption"),
];
pub(super) const SHOWS: [Choice; 6] = [
    ("all", "all"),
    ("unmarked", "not marked yet"),
    ("poison", "marked as poison"),
    ("clean", "marked as clean"),
    ("forget", "in the forget set"),
    ("others", "not in the forget set"),
];
pub(super) const PICTURES: [Choice; 3] = [("show", "shown"), ("blur", "blurred"), ("none", "left out")];

/// The choice that is meant: the first where it is none of them.
pub(super) fn chosen(choices: &[Choice], name: &str) -> &'static str {
    let known = choices.iter().find(|(known, _)| *known == name);
    known.or(choices.first()).map_or("", |(name, _)| name)
}

impl Wanted {
    /// From 1.
    pub fn page(&self) -> usize {
        self.page.parse().unwrap_or(1).max(1)
    }

    pub fn cluster(&self) -> Option<u32> {
        self.cluster.parse().ok()
    }

    /// The address of another of these pages.
    pub fn query(&self, page: usize) -> String {
        let page = page.to_string();
        let parts = [
            ("sort", self.sort.as_str()),
            ("show", &self.show),
            ("cluster", &self.cluster),
            ("text", &self.text),
            ("pictures", &self.pictures),
            ("page", if page == "1" { "" } else { &page }),
        ];
        let said = parts.into_iter().filter(|(_, value)| !value.is_empty());
        said.map(|(name, value)| format!("{name}={}", escaped(value))).collect::<Vec<_>>().join("&")
    }
}

/// As an address may hold it.
fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// The numbers of the suspects that are wanted, in the order wanted.
pub(super) fn selected(reviewed: &Reviewed, marks: &Marks, wanted: &Wanted) -> Vec<usize> {
    let rows = &reviewed.suspects.rows;
    let show = chosen(&SHOWS, &wanted.show);
    let (cluster, text) = (wanted.cluster(), wanted.text.trim().to_lowercase());
    let fits = |number: &usize| {
        let row = &rows[number - 1];
        let member = reviewed.membership(*number);
        let of_cluster = cluster.is_none_or(|cluster| member.is_some_and(|member| member.cluster == cluster));
        let has_text =
            || text.is_empty() || [&row.caption, &row.key].iter().any(|held| held.to_lowercase().contains(&text));
        of_cluster && is_shown(show, (marks, row), member.is_some()) && has_text()
    };
    let mut numbers: Vec<usize> = (1..=rows.len()).filter(fits).collect();
    sort(&mut numbers, reviewed, chosen(&SORTS, &wanted.sort));
    numbers
}

fn is_shown(show: &str, (marks, row): (&Marks, &SignalRow), is_member: bool) -> bool {
    let said = || marks.of(row.shard, &row.key, &row.content).map(|mark| mark.judgement);
    match show {
        "unmarked" => said().is_none(),
        "poison" => said() == Some(Judgement::Poison),
        "clean" => said() == Some(Judgement::Clean),
        "forget" => is_member,
        "others" => !is_member,
        _ => true,
    }
}

/// They come by their score.
fn sort(numbers: &mut [usize], reviewed: &Reviewed, sort: &str) {
    let suspects = &reviewed.suspects;
    let row = |number: &usize| &suspects.rows[number - 1];
    match sort {
        "least" => numbers.reverse(),
        "first" => {
            let first = |number: &usize| suspects.value(row(number), columns::SUSPICION).unwrap_or(f32::NEG_INFINITY);
            numbers.sort_by(|a, b| first(b).total_cmp(&first(a)));
        }
        "caption" => numbers.sort_by(|a, b| by_caption(row(a), row(b))),
        _ => {}
    }
}

fn by_caption(a: &SignalRow, b: &SignalRow) -> Ordering {
    a.caption.to_lowercase().cmp(&b.caption.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_what_is_wanted_whatever_a_person_typed() {
        let wanted = Wanted { text: "a&b=\"<script>\" ü".to_owned(), show: "clean".to_owned(), ..Wanted::default() };
        assert_eq!(wanted.query(1), "show=clean&text=a%26b%3D%22%3Cscript%3E%22%20%C3%BC");
        assert_eq!(Wanted::default().query(3), "page=3");
        assert_eq!((chosen(&SORTS, "first"), chosen(&SORTS, "of another release")), ("first", "score"));
        let pages = ["", "0", "-1", "x", "7"].map(|page| Wanted { page: page.to_owned(), ..Wanted::default() }.page());
        assert_eq!(pages, [1, 1, 1, 1, 7]);
    }
}
