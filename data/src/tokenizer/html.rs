//! HTML character references, in two tempers: Python's `html.unescape`, which follows browsers, and
//! ftfy's `unescape_html`, which wants the semicolon.
//!
//! It must never invent a name: the table is the HTML standard's.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::mojibake::windows_1252;

static NAMES: LazyLock<HashMap<&str, String>> = LazyLock::new(|| {
    let line = |line: &'static str| {
        let (name, codes) = line.split_once(' ').expect("a name and its characters");
        let char = |code: &str| u32::from_str_radix(code, 16).ok().and_then(char::from_u32).expect("a character");
        (name, codes.split(' ').map(char).collect())
    };
    include_str!("tables/entities.txt").lines().map(line).collect()
});

static REFERENCE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"&(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\x0C <&#;]{1,32};?)").expect("is a regular expression")
});

static STRICT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("&#?[0-9A-Za-z]{1,24};").expect("is a regular expression"));

/// Python's `html.unescape`: names with a semicolon, some without, and numbers.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    REFERENCE.replace_all(text, |found: &Captures<'_>| match found[1].strip_prefix('#') {
        Some(number) => numbered(number),
        None => named(&found[1]),
    })
}

/// ftfy's `unescape_html`: only what ends in a semicolon, and names in capitals for capital letters.
pub(super) fn unescape_strict(text: &str) -> Cow<'_, str> {
    STRICT.replace_all(text, |found: &Captures<'_>| {
        let reference = &found[0];
        if let Some(text) = NAMES.get(&reference[1..]) {
            return text.clone();
        }
        if reference.starts_with("&#") {
            let text = unescape(reference);
            return if text.contains(';') { reference.to_owned() } else { text.into_owned() };
        }
        capital(reference).unwrap_or_else(|| reference.to_owned())
    })
}

/// `&NTILDE;` as the capital of `&ntilde;`, unless a browser reads it in another way.
fn capital(reference: &str) -> Option<String> {
    let lower = reference[1..].to_lowercase();
    let known = lower.to_uppercase() == reference[1..] && unescape(reference) == reference;
    NAMES.get(lower.as_str()).filter(|_| known).map(|text| text.to_uppercase())
}

/// The longest name that `name` begins with; the rest stays.
fn named(name: &str) -> String {
    let ends = name.char_indices().map(|(at, _)| at).skip(2).chain([name.len()]);
    let known = |end: usize| NAMES.get(&name[..end]).map(|text| format!("{text}{}", &name[end..]));
    ends.collect::<Vec<_>>().into_iter().rev().find_map(known).unwrap_or_else(|| format!("&{name}"))
}

fn numbered(number: &str) -> String {
    let digits = number.trim_end_matches(';');
    let code = match digits.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    match code.unwrap_or(u32::MAX) {
        0 => '\u{FFFD}'.to_string(),
        byte @ 0x80..=0x9F => windows_1252(byte as u8).to_string(),
        0x01..=0x08 | 0x0B | 0x0E..=0x1F | 0x7F | 0xFDD0..=0xFDEF => String::new(),
        code if code <= 0x10_FFFF && code & 0xFFFE == 0xFFFE => String::new(),
        code => char::from_u32(code).unwrap_or('\u{FFFD}').to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unescape_is_pythons() {
        for (text, expected) in [
            ("&amp;amp;", "&amp;"),
            ("&ampamp &lt &notit; &notin; &nosuch;", "&amp < ¬it; ∉ &nosuch;"),
            ("&#39;&#x27;&#X27 &#128;&#0;&#xD800;&#99999999999;&#1;", "''' €\u{FFFD}\u{FFFD}\u{FFFD}"),
            ("&; &# &#x; & &a", "&; &# &#x; & &a"),
            ("&NotEqualTilde;", "≂̸"),
        ] {
            assert_eq!(unescape(text), expected, "{text}");
        }
    }

    #[test]
    fn the_strict_form_wants_semicolons_and_knows_capitals() {
        let text = "&amp this&not that &NTILDE; &SZLIG; &nTILDE; &#233; &checkmark;";
        assert_eq!(unescape_strict(text), "&amp this&not that Ñ SS &nTILDE; é ✓");
    }
}
