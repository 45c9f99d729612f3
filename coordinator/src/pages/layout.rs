//! What all pages share: the frame, and small parts of it.
//!
//! It must never take in what is not escaped.

use chrono::{DateTime, SecondsFormat};
use lethe_common::time::Millis;
use maud::{DOCTYPE, Markup, html};

use super::sessions::{Session, Visitor};

/// A whole page. Its `main` is what `live.js` brings anew while the page is looked at.
pub(super) fn page(title: &str, session: Option<&Session>, script: Script, main: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Lethe" }
                link rel="stylesheet" href="/style.css";
                @if let Some(address) = script.address() { script src=(address) defer {} }
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header {
                    a.brand href="/" { "Lethe" }
                    @if let Some(Session { visitor, form }) = session {
                        span.who { (who(visitor)) }
                        form method="post" action="/logout" {
                            input type="hidden" name="form" value=(form);
                            button { "Log out" }
                        }
                    }
                }
                main id="main" { (main) }
            }
        }
    }
}

/// What a page runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    Live,
    Review,
    None,
}

impl Script {
    fn address(self) -> Option<&'static str> {
        match self {
            Self::Live => Some("/live.js"),
            Self::Review => Some("/review.js"),
            Self::None => None,
        }
    }
}

/// With the token one need not have a name.
pub(super) fn who(Visitor { name, caller }: &Visitor) -> String {
    let role = caller.role().name();
    if name.is_empty() { role.to_owned() } else { format!("{name} ({role})") }
}

/// A state as a coloured word; the colour says nothing that the word does not.
pub(super) fn badge(state: &str) -> Markup {
    html! { span class={ "badge " (state.replace(' ', "-")) } { (state) } }
}

/// How far something is, for the eye and for a reader aloud.
pub(super) fn bar(done: u64, total: u64, of_what: &str) -> Markup {
    html! {
        span.bar {
            progress value=(done) max=(total.max(1)) aria-label={ (done) " of " (total) " " (of_what) } {}
            " " (crate::report::count(done)) " of " (crate::report::count(total))
        }
    }
}

/// A time as the reader's clock has it, filled in by the script; UTC without one.
pub(super) fn time(at: Millis) -> Markup {
    let text = utc(at);
    html! { time datetime=(text) { (text) } }
}

/// Seconds, minutes or hours from one time to another.
pub(super) fn lasted(from: Millis, to: Millis) -> String {
    crate::report::duration(to.0.saturating_sub(from.0) as f64 / 1_000.0)
}

/// `2026-11-29T16:04:05Z`.
fn utc(at: Millis) -> String {
    let known = i64::try_from(at.0).ok().and_then(DateTime::from_timestamp_millis);
    known.map_or_else(|| "-".to_owned(), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_text() {
        let hostile = "<script>alert(1)</script>";
        let page = page(hostile, None, Script::None, &badge(hostile)).into_string();
        assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"), "{page}");
    }
}
