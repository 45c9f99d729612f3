//! One suspect: picture with its region, caption with the words that gave it away, scores, and what to say of it.
//!
//! It must never put a stranger's text anywhere but between tags, or in a quoted attribute that nothing is loaded from.

use lethe_common::spec::Pictures as Allowed;
use lethe_evidence::SignalRow;
use lethe_evidence::artifacts::{ShadedWord, columns};
use maud::{Markup, html};

use super::page::{Review, named};
use crate::report::heat;
use crate::review::{Judgement, Mark, Region};

/// Shades of a word, from faint to strong.
const SHADES: f32 = 4.0;

pub(super) fn row(review: &Review<'_>, number: usize) -> Markup {
    let row = &review.reviewed.suspects.rows[number - 1];
    let mark = review.marks.of(row.shard, &row.key, &row.content);
    let region = review.reviewed.region(number);
    let said = mark.map_or("", |mark| mark.judgement.as_str());
    html! {
        li id={ "s" (number) } value=(number) data-mark=(said) tabindex="-1" {
            (picture(review, number, region))
            div.about {
                p.caption { (caption(review, (number, row), region)) }
                (facts(review, number, row))
                @if review.may_change { (buttons(number, mark)) } @else if let Some(mark) = mark { p { "Marked as " (mark.judgement.as_str()) } }
                p.by { @if let Some(mark) = mark { (by(mark)) } }
            }
        }
    }
}

fn picture(review: &Review<'_>, number: usize, region: Option<&Region>) -> Markup {
    let (pictures, audit) = (review.pictures(), review.audit);
    let blur = if pictures == Allowed::Blur { "?blur=1" } else { "" };
    html! {
        div.picture {
            @if pictures != Allowed::None {
                img src={ "/audits/" (audit) "/review/pictures/" (number) (blur) } alt={ "the picture of suspect " (number) }
                    width="160" height="160" loading="lazy" decoding="async";
            }
            @if let Some(region) = region {
                svg viewBox="0 0 1 1" preserveAspectRatio="none" role="img" aria-label="the regions that carry the match" { (heat(&region.grid)) }
            }
        }
    }
}

/// Shaded by how much of the match each word carries, where that was looked at; else with the words of its cluster marked.
fn caption(review: &Review<'_>, (number, row): (usize, &SignalRow), region: Option<&Region>) -> Markup {
    let shaded = region.map_or(&[][..], |region| &region.words);
    let member = review.reviewed.membership(number);
    let group = member.and_then(|member| review.reviewed.clusters.get(member.cluster as usize));
    html! {
        @if row.caption.is_empty() { span.none { "no caption" } }
        @if shaded.is_empty() {
            @for (text, is_word) in pieces(&row.caption) {
                @let stands_out = is_word && group.is_some_and(|group| group.words.iter().any(|score| score.word == text.to_lowercase()));
                @if stands_out { mark { (text) } } @else { (text) }
            }
        } @else {
            @for word in shaded { span class=(shade(word)) { (word.text) } " " }
        }
    }
}

/// The text in words and what stands between them.
fn pieces(text: &str) -> Vec<(&str, bool)> {
    let mut pieces: Vec<(&str, bool)> = Vec::new();
    let mut from = 0;
    let mut last = None;
    for (at, c) in text.char_indices() {
        let is_word = c.is_alphanumeric();
        if last.is_some_and(|last| last != is_word) {
            pieces.push((&text[from..at], !is_word));
            from = at;
        }
        last = Some(is_word);
    }
    pieces.extend(last.map(|is_word| (&text[from..], is_word)));
    pieces
}

fn shade(word: &ShadedWord) -> String {
    let weight = if word.weight.is_finite() { word.weight.clamp(0.0, 1.0) } else { 0.0 };
    format!("shade-{}", (weight * SHADES).round())
}

fn facts(review: &Review<'_>, number: usize, row: &SignalRow) -> Markup {
    let (reviewed, suspects) = (review.reviewed, &review.reviewed.suspects);
    let number_of =
        |name: &str| suspects.value(row, name).map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"));
    let member = reviewed.membership(number);
    let group = member.and_then(|member| reviewed.clusters.get(member.cluster as usize));
    html! {
        p.facts {
            "score " strong { (number_of(columns::RANK_SCORE)) }
            " · first pass " (number_of(columns::SUSPICION))
            @match (member, group) {
                (Some(member), Some(group)) => { " · leads to " (named(group)) @if member.held_out { " · held out" } }
                (Some(_) | None, _) => { " · not in the forget set" }
            }
        }
        details {
            summary { "Key and signals" }
            p { code { (reviewed.full_key(row.shard, &row.key)) } }
            p.signals { @for (name, value) in suspects.names.iter().zip(&row.values) { span { (name.replace('_', " ")) " " (format!("{value:.3}")) } " " } }
        }
    }
}

fn buttons(number: usize, mark: Option<&Mark>) -> Markup {
    let said = mark.map(|mark| mark.judgement);
    let pressed = |judgement| if said == Some(judgement) { "true" } else { "false" };
    html! {
        p.say {
            @for (judgement, text) in [(Judgement::Poison, "Poison"), (Judgement::Clean, "Clean")] {
                button class=(judgement.as_str()) name=(judgement.as_str()) value=(number) aria-pressed=(pressed(judgement))
                    aria-label={ (text) ": suspect " (number) } { (text) }
            }
            button.none name="none" value=(number) aria-label={ "Take back the mark of suspect " (number) } hidden[said.is_none()] { "Take back" }
        }
    }
}

fn by(mark: &Mark) -> Markup {
    html! {
        (mark.judgement.as_str()) @if !mark.by.is_empty() { ", says " (mark.by) } ", " (crate::pages::layout::time(mark.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caption_is_all_of_its_pieces() {
        for text in ["", "a T-shirt, für dich!", "<script>alert(1)</script>", " . "] {
            let pieces = pieces(text);
            assert_eq!(pieces.iter().map(|(text, _)| *text).collect::<String>(), text);
            assert!(pieces.iter().all(|(text, is_word)| text.chars().all(|c| c.is_alphanumeric() == *is_word)));
        }
        assert_eq!(pieces("a b"), [("a", true), (" ", false), ("b", true)]);
    }

    #[test]
    fn a_words_shade_is_a_class_of_ours_whatever_its_weight() {
        let shade = |weight| shade(&ShadedWord { text: String::new(), weight });
        assert_eq!(
            [0.0, 0.5, 1.0, 9.0, f32::NAN, -1.0].map(shade),
            ["0", "2", "4", "4", "0", "0"].map(|n| format!("shade-{n}"))
        );
    }
}
