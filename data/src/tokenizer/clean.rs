//! What open_clip does to a caption before it is split: ftfy, `html.unescape` twice, single spaces,
//! lower case (`_clean_lower` in its tokenizer.py).
//!
//! It must never differ from open_clip where a stored reference string shows it. Known not to be
//! followed: strings that Python can hold and UTF-8 cannot (lone surrogates), and characters whose
//! class or case changed between the Unicode versions of Python and of Rust.

use super::html::unescape;
use super::repair::repair;

pub(super) fn clean(text: &str) -> String {
    let text = unescape(&unescape(&repair(text))).into_owned();
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}
