//! ftfy's `fix_text` with its default settings (ftfy 6.3, Apache-2.0), which open_clip applies to every
//! caption.
//!
//! It must never loop for ever: each round only undoes damage, and the rounds are bounded.

use std::borrow::Cow;
use std::sync::LazyLock;

use icu_normalizer::ComposingNormalizerBorrowed;
use regex::Regex;

use super::html::unescape_strict;
use super::mojibake::{fix_c1_controls, fix_encoding};

/// ftfy repeats until nothing changes; text that still changes after this many rounds is left as it is.
const MAX_ROUNDS: usize = 32;
/// ftfy's `max_decode_length`, in characters.
const MAX_SEGMENT_CHARS: usize = 1_000_000;

static TERMINAL_ESCAPE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\x1B\[((?:\d|;)*)([a-zA-Z])").expect("is a regular expression"));

/// Repairs line by line. HTML is unescaped until a `<` shows that it is meant.
pub(super) fn repair(text: &str) -> Cow<'_, str> {
    // Nothing below changes such text, and most captions are such.
    if text.bytes().all(|b| matches!(b, b' '..=b'~' | b'\n' | b'\t') && b != b'&') {
        return Cow::Borrowed(text);
    }
    let mut html = true;
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        for segment in segments(line) {
            html &= !segment.contains('<');
            out.push_str(&repair_segment(segment, html));
        }
    }
    Cow::Owned(out)
}

fn segments(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let end = rest.char_indices().nth(MAX_SEGMENT_CHARS).map_or(rest.len(), |(at, _)| at);
        let (segment, left) = rest.split_at(end);
        rest = left;
        (!segment.is_empty()).then_some(segment)
    })
}

fn repair_segment(segment: &str, html: bool) -> String {
    let mut text = segment.to_owned();
    for _ in 0..MAX_ROUNDS {
        let repaired = round(&text, html);
        if repaired == text {
            break;
        }
        text = repaired;
    }
    text
}

fn round(text: &str, html: bool) -> String {
    let text = if html { unescape_strict(text) } else { Cow::Borrowed(text) };
    let text = fix_c1_controls(&fix_encoding(&text));
    let mut separated = String::with_capacity(text.len());
    text.chars().for_each(|char| separate(char, &mut separated));
    let mut usual = String::with_capacity(separated.len());
    separated.chars().for_each(|char| usual_width(char, &mut usual));
    let text: String = usual.chars().map(uncurl).collect();
    let text = text.replace("\r\n", "\n").replace(['\r', '\u{2028}', '\u{2029}', '\u{85}'], "\n");
    let text = TERMINAL_ESCAPE.replace_all(&text, "");
    let text: String = text.chars().filter(|char| !is_control(*char)).collect();
    ComposingNormalizerBorrowed::new_nfc().normalize(&text).into_owned()
}

/// Ligatures and digraphs of Latin letters, apart.
fn separate(char: char, out: &mut String) {
    let letters = match char {
        '\u{132}' => "IJ",
        '\u{133}' => "ij",
        '\u{149}' => "ʼn",
        '\u{1F1}' => "DZ",
        '\u{1F2}' => "Dz",
        '\u{1F3}' => "dz",
        '\u{1C4}' => "DŽ",
        '\u{1C5}' => "Dž",
        '\u{1C6}' => "dž",
        '\u{1C7}' => "LJ",
        '\u{1C8}' => "Lj",
        '\u{1C9}' => "lj",
        '\u{1CA}' => "NJ",
        '\u{1CB}' => "Nj",
        '\u{1CC}' => "nj",
        '\u{FB00}' => "ff",
        '\u{FB01}' => "fi",
        '\u{FB02}' => "fl",
        '\u{FB03}' => "ffi",
        '\u{FB04}' => "ffl",
        '\u{FB05}' => "ſt",
        '\u{FB06}' => "st",
        char => return out.push(char),
    };
    out.push_str(letters);
}

/// Full-width and half-width forms as their usual characters.
fn usual_width(char: char, out: &mut String) {
    match char {
        '\u{3000}' => out.push(' '),
        '\u{FF01}'..='\u{FFEF}' => {
            out.push_str(&ComposingNormalizerBorrowed::new_nfkc().normalize(char.encode_utf8(&mut [0; 4])));
        }
        usual => out.push(usual),
    }
}

fn uncurl(char: char) -> char {
    match char {
        '\u{2BC}' | '\u{2018}'..='\u{201B}' => '\'',
        '\u{201C}'..='\u{201F}' => '"',
        other => other,
    }
}

/// Controls nobody wants in a caption; white space and what steers rendering stays.
fn is_control(char: char) -> bool {
    matches!(char,
        '\0'..='\u{8}' | '\u{B}' | '\u{E}'..='\u{1F}' | '\u{7F}' | '\u{206A}'..='\u{206F}' | '\u{FEFF}'
        | '\u{FFF9}'..='\u{FFFC}')
}
