//! ftfy's `fix_encoding`: UTF-8 that was read as a one-byte encoding is read again as UTF-8, where its
//! heuristic (the table's "badness") finds the text unlikely.
//!
//! It must never touch ASCII, nor text that looks intended.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;
use regex::bytes::Regex as BytesRegex;

/// ftfy repeats until nothing changes; each fix shortens the text, so few rounds are ever needed.
const MAX_ROUNDS: usize = 32;
/// What the sloppy encodings take for a byte that was lost.
const LOST: u8 = 0x1A;

struct Tables {
    badness: Regex,
    /// Sequences that look like UTF-8 read as something else.
    detector: Regex,
    /// What must not stand before such a sequence.
    before: Regex,
    /// In the order in which they are tried.
    encodings: Vec<Encoding>,
}

/// A one-byte encoding whose lower half is ASCII.
struct Encoding {
    name: &'static str,
    bytes: HashMap<char, u8>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let mut lines = include_str!("tables/mojibake.txt").lines().map(|line| line.split_once(' ').expect("two parts"));
    let mut regex = || Regex::new(lines.next().expect("three expressions").1).expect("is a regular expression");
    let (badness, detector, before) = (regex(), regex(), regex());
    Tables { badness, detector, before, encodings: lines.map(|(name, codes)| Encoding::new(name, codes)).collect() }
});

static ALTERED: LazyLock<BytesRegex> = LazyLock::new(|| {
    bytes_regex(concat!(
        r"[\xc2\xc3\xc5\xce\xd0\xd9][ ]",
        r"|[\xe2\xe3][ ][\x80-\x84\x86-\x9f\xa1-\xbf]",
        r"|[\xe0-\xe3][\x80-\x84\x86-\x9f\xa1-\xbf][ ]",
        r"|\xf0[ ][\x80-\xbf][\x80-\xbf]",
        r"|\xf0[\x80-\xbf][ ][\x80-\xbf]",
        r"|\xf0[\x80-\xbf][\x80-\xbf][ ]",
    ))
});

static LOSSY: LazyLock<BytesRegex> = LazyLock::new(|| {
    bytes_regex(concat!(
        r"[\xc2-\xdf]\x1a|[\xc2-\xc3][?]",
        r"|\xed[\xa0-\xaf][\x1a?]\xed[\xb0-\xbf][\x1a?\x80-\xbf]",
        r"|\xed[\xa0-\xaf][\x1a?\x80-\xbf]\xed[\xb0-\xbf][\x1a?]",
        r"|[\xe0-\xef][\x1a?][\x1a\x80-\xbf]|[\xe0-\xef][\x1a\x80-\xbf][\x1a?]",
        r"|[\xf0-\xf4][\x1a?][\x1a\x80-\xbf][\x1a\x80-\xbf]",
        r"|[\xf0-\xf4][\x1a\x80-\xbf][\x1a?][\x1a\x80-\xbf]",
        r"|[\xf0-\xf4][\x1a\x80-\xbf][\x1a\x80-\xbf][\x1a?]",
        r"|\x1a",
    ))
});

/// A surrogate pair written as two three-byte sequences, or Java's long zero; before a last line's end its first
/// byte is enough, since Python's `$` stands there too.
static VARIANT: LazyLock<BytesRegex> =
    LazyLock::new(|| bytes_regex(r"\xed([\xa0-\xaf][\x80-\xbf])\xed([\xb0-\xbf][\x80-\xbf])|\xc0(?:\x80|\n\z)"));

fn bytes_regex(pattern: &str) -> BytesRegex {
    BytesRegex::new(&format!("(?s-u){pattern}")).expect("is a regular expression")
}

impl Encoding {
    fn new(name: &'static str, codes: &str) -> Self {
        let char = |code: &str| u32::from_str_radix(code, 16).ok().and_then(char::from_u32).expect("a character");
        let upper = codes.split(' ').map(char).zip([LOST].into_iter().chain(0x80..=0xFF));
        let lower = (0..0x80).filter(|byte| *byte != LOST).map(|byte| (char::from(byte), byte));
        Self { name, bytes: upper.chain(lower).collect() }
    }

    /// `None` where a character is not in the encoding.
    fn encode(&self, text: &str) -> Option<Vec<u8>> {
        text.chars().map(|char| self.bytes.get(&char).copied()).collect()
    }

    fn is_sloppy(&self) -> bool {
        self.name.starts_with("sloppy")
    }
}

/// What windows-1252 says of a byte; the five that it leaves open stand for themselves.
pub(super) fn windows_1252(byte: u8) -> char {
    const UPPER: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘',
        '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    if (0x80..=0x9F).contains(&byte) { UPPER[usize::from(byte - 0x80)] } else { char::from(byte) }
}

fn is_c1(char: char) -> bool {
    ('\u{80}'..='\u{9F}').contains(&char)
}

/// Controls that nobody means, as the windows-1252 characters that they were.
pub(super) fn fix_c1_controls(text: &str) -> String {
    text.chars().map(|char| if is_c1(char) { windows_1252(char as u8) } else { char }).collect()
}

pub(super) fn fix_encoding(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for _ in 0..MAX_ROUNDS {
        match one_step(&text) {
            Some(fixed) if fixed != text => text = Cow::Owned(fixed),
            _ => break,
        }
    }
    text
}

fn one_step(text: &str) -> Option<String> {
    if text.is_ascii() || !TABLES.badness.is_match(text) {
        return None;
    }
    if let Some(fixed) = TABLES.encodings.iter().find_map(|encoding| reread(encoding, text)) {
        return Some(fixed);
    }
    let embedded = fix_embedded(text);
    if embedded != text {
        return Some(embedded);
    }
    text.contains(is_c1).then(|| fix_c1_controls(text))
}

/// The text as UTF-8, if it can have been read as this encoding.
fn reread(encoding: &Encoding, text: &str) -> Option<String> {
    let mut bytes = encoding.encode(text)?;
    // In Mac Roman a lost A0 would match an en dash before a space.
    if encoding.name != "macroman" && ALTERED.is_match(&bytes) {
        bytes = restore_a0(&bytes);
    }
    if encoding.is_sloppy() {
        bytes = LOSSY.replace_all(&bytes, "\u{FFFD}".as_bytes()).into_owned();
    }
    String::from_utf8(VARIANT.replace_all(&bytes, standard).into_owned()).ok()
}

/// A byte A0 that some program took for a space comes back where UTF-8 needs it.
fn restore_a0(bytes: &[u8]) -> Vec<u8> {
    let mut spaced = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(&byte) = rest.first() {
        let grave = rest.starts_with(b"\xc3 ");
        let inside =
            [&b" "[..], b"quele", b"quela", b"quilo", b"s "].iter().any(|word| grave && rest[2..].starts_with(word));
        // The word "à" keeps its space, as in "à la mode".
        if grave && !inside {
            spaced.extend_from_slice(b"\xc3\xa0 ");
            rest = &rest[2..];
        } else {
            spaced.push(byte);
            rest = &rest[1..];
        }
    }
    let with_a0 = |found: &regex::bytes::Captures<'_>| -> Vec<u8> {
        found[0].iter().map(|byte| if *byte == b' ' { 0xA0 } else { *byte }).collect()
    };
    ALTERED.replace_all(&spaced, with_a0).into_owned()
}

/// CESU-8 and Java's modified UTF-8 as UTF-8.
fn standard(found: &regex::bytes::Captures<'_>) -> Vec<u8> {
    let (Some(high), Some(low)) = (found.get(1), found.get(2)) else { return vec![0] };
    let half = |bytes: &[u8]| u32::from(bytes[0] & 0x0F) << 6 | u32::from(bytes[1] & 0x3F);
    let code = 0x1_0000 + (half(high.as_bytes()) << 10) + half(low.as_bytes());
    char::from_u32(code).map_or_else(|| found[0].to_vec(), |char| char.to_string().into_bytes())
}

/// Fixes sequences inside text that is otherwise sound.
fn fix_embedded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut done, mut from) = (0, 0);
    while let Some(found) = TABLES.detector.find_at(text, from) {
        let before = text[..found.start()].chars().next_back();
        if before.is_some_and(|char| TABLES.before.is_match(char.encode_utf8(&mut [0; 4]))) {
            from = found.start() + text[found.start()..].chars().next().map_or(1, char::len_utf8);
            continue;
        }
        out.push_str(&text[done..found.start()]);
        let whole = found.len() == text.len();
        out.push_str(&if whole { Cow::Borrowed(found.as_str()) } else { fix_encoding(found.as_str()) });
        (done, from) = (found.end(), found.end());
    }
    out.push_str(&text[done..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ftfys_own_examples() {
        for (text, expected) in [
            ("schÃ¶n", "schön"),
            ("voilÃ le travail", "voilà le travail"),
            ("l’humanitÃ©", "l’humanité"),
            ("âœ” No problems", "✔ No problems"),
            ("Ð¿Ñ€Ð¸Ð²ÐµÑ‚", "привет"),
            ("The more you know ðŸŒ\u{a0}", "The more you know 🌠"),
            ("â€œ like this â€�", "“ like this �"),
            ("à perturber la rÃ©flexion des thÃ©ologiens", "à perturber la réflexion des théologiens"),
            ("Ã\u{a0} la mode", "à la mode"),
            ("Ã§a va, naïve café", "ça va, naïve café"),
            ("naïve café über Łódź", "naïve café über Łódź"),
            ("\u{91}quote\u{92}", "‘quote’"),
        ] {
            assert_eq!(fix_encoding(text), expected, "{text}");
        }
    }

    #[test]
    fn surrogates_in_utf8_are_read_as_one_character() {
        let bytes = VARIANT.replace_all(b"\xed\xa0\xbd\xed\xb8\x8d \xc0\x80", standard);
        assert_eq!(std::str::from_utf8(&bytes), Ok("😍 \0"));
        assert_eq!(fix_encoding("â\u{80}\u{99}\tŔ\n"), "’\t\0", "as ftfy has it");
    }
}
