//! The most suspicious samples: picture, where in it the match lies, caption with its words shaded.
//!
//! It must never write sample text or picture bytes unescaped: both come from strangers.

use lethe_common::spec::Pictures;
use lethe_evidence::artifacts::{Exhibit, Picture, ShadedWord, TokenGrid};
use maud::{Markup, html};

/// A token that carries at least this share of the most is outlined.
const PEAK_SHARE: f32 = 0.6;
/// A token that carries less is left as it is.
const FAINT_SHARE: f32 = 0.15;
/// The heat of the strongest token.
const MAX_OPACITY: f32 = 0.55;
/// Between the plain and the shaded picture, in shares of a side.
const GAP: f64 = 0.06;

/// One card a sample, in the order given.
pub(super) fn gallery(exhibits: &[&Exhibit], pictures: Pictures) -> Markup {
    html! {
        div.gallery {
            @for (at, exhibit) in exhibits.iter().enumerate() { (card(at, exhibit, pictures)) }
        }
    }
}

fn card(at: usize, exhibit: &Exhibit, pictures: Pictures) -> Markup {
    html! {
        article.exhibit {
            @match pictures {
                Pictures::Show => { (panels(at, exhibit, false)) }
                Pictures::Blur => { (panels(at, exhibit, true)) }
                Pictures::None => { (heat_only(exhibit)) }
            }
            p.caption { (shaded(exhibit)) }
            p.foot { span { "score " (format!("{:.2}", exhibit.score)) } code { (exhibit.key) } }
        }
    }
}

/// The picture twice: plain, and under the heat of its tokens. Its bytes are in the page once.
fn panels(at: usize, exhibit: &Exhibit, blurred: bool) -> Markup {
    let id = format!("picture-{at}");
    let right = 1.0 + GAP;
    html! {
        svg role="img" aria-label=(format!("sample {}, plain and with its suspicious regions", at + 1))
            viewBox=(format!("0 0 {} 1", 2.0 + GAP)) {
            (embedded(&exhibit.picture, Some(&id), blurred))
            use href=(format!("#{id}")) x=(right) {}
            g transform=(format!("translate({right} 0)")) { (heat(&exhibit.grid)) }
        }
    }
}

/// A picture within an SVG, one unit wide.
pub(super) fn embedded(picture: &Picture, id: Option<&str>, blurred: bool) -> Markup {
    html! {
        image.blurred[blurred] id=[id] width="1" height="1" preserveAspectRatio="none" href=(source(&picture.png_base64)) {}
    }
}

fn heat_only(exhibit: &Exhibit) -> Markup {
    html! {
        svg role="img" aria-label="the sample's suspicious regions; its picture is left out" viewBox="0 0 2.06 1" {
            rect width="2.06" height="1" fill="none" {}
            g transform="translate(.53 0)" { (heat(&exhibit.grid)) }
        }
    }
}

/// A data address, or none where the bytes are not base64: nothing else may stand in an attribute that
/// the browser loads.
fn source(png_base64: &str) -> String {
    let plain = png_base64.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b));
    if plain { format!("data:image/png;base64,{png_base64}") } else { String::new() }
}

pub(crate) fn heat(grid: &TokenGrid) -> Markup {
    let (wide, high) = (1.0 / f64::from(grid.columns.max(1)), 1.0 / f64::from(grid.rows.max(1)));
    html! {
        @for (at, weight) in weights(grid).into_iter().enumerate() {
            @let (x, y) = ((at as u32 % grid.columns.max(1)) as f64 * wide, (at as u32 / grid.columns.max(1)) as f64 * high);
            @if weight >= FAINT_SHARE {
                rect.heat x=(short(x)) y=(short(y)) width=(short(wide)) height=(short(high))
                    opacity=(format!("{:.2}", weight * MAX_OPACITY)) {}
            }
            @if weight >= PEAK_SHARE {
                rect.peak x=(short(x)) y=(short(y)) width=(short(wide)) height=(short(high)) {}
            }
        }
    }
}

/// Falls as shares of the greatest; a rise carries nothing.
fn weights(grid: &TokenGrid) -> Vec<f32> {
    let most = grid.falls.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let tokens = grid.rows as usize * grid.columns as usize;
    grid.falls.iter().take(tokens).map(|fall| (fall / most).clamp(0.0, 1.0)).collect()
}

fn short(value: f64) -> String {
    format!("{value:.4}")
}

fn shaded(exhibit: &Exhibit) -> Markup {
    html! {
        @if exhibit.words.is_empty() { (exhibit.caption) }
        @for word in &exhibit.words { span style=(shade(word)) { (word.text) } " " }
    }
}

fn shade(word: &ShadedWord) -> String {
    let weight = if word.weight.is_finite() { word.weight.clamp(0.0, 1.0) } else { 0.0 };
    format!("background:rgba(var(--shade),{:.2})", weight * MAX_OPACITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_strongest_tokens_are_outlined() {
        let grid = TokenGrid { rows: 2, columns: 2, falls: vec![0.5, 0.1, -0.3, 0.4] };
        let page = heat(&grid).into_string();
        assert_eq!((page.matches("class=\"peak\"").count(), page.matches("class=\"heat\"").count()), (2, 3));
        assert!(page.contains("x=\"0.5000\" y=\"0.5000\""), "{page}");
    }

    #[test]
    fn a_picture_cannot_bring_an_address() {
        assert_eq!(source("\" onload=alert(1)"), "");
        assert_eq!(source("https://example.org/x.png"), "");
        assert_eq!(source("iVBO+/=="), "data:image/png;base64,iVBO+/==");
    }

    #[test]
    fn a_grid_of_nothing_is_empty() {
        let flat = TokenGrid { rows: 1, columns: 2, falls: vec![0.0, 0.0] };
        assert_eq!(heat(&flat).into_string(), "");
        assert_eq!(heat(&TokenGrid::default()).into_string(), "");
    }
}
