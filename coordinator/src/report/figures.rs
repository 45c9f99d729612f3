//! Pictures of numbers: histograms and bars. Shapes are inline SVG or plain boxes; all text is HTML, so
//! that it keeps its size on a phone.

use std::fmt::Write as _;

use lethe_evidence::artifacts::{Histogram, Interval};
use maud::{Markup, html};

use super::words::{count, percent};

/// One row of a bar chart.
pub(super) struct Bar {
    pub label: String,
    pub value: f64,
    pub text: String,
    pub hot: bool,
}

/// Horizontal bars from zero to the greatest value.
pub(super) fn bars(rows: &[Bar]) -> Markup {
    let most = rows.iter().map(|row| row.value).fold(f64::MIN_POSITIVE, f64::max);
    html! {
        dl.bars {
            @for row in rows {
                dt { (row.label) }
                dd { div.bar.hot[row.hot] style=(format!("width:{:.1}%", 100.0 * (row.value / most).max(0.0))) {} }
                dd.value { (row.text) }
            }
        }
    }
}

/// A histogram with its cut. Heights are square roots, or a handful among thousands could not be seen.
pub(super) fn histogram(histogram: &Histogram, title: &str, caption: &str) -> Markup {
    let bins = histogram.counts.len().max(1);
    let total: u64 = histogram.counts.iter().sum();
    let cut = histogram.cut.map(|cut| place(histogram, cut));
    let label = format!("histogram of {} values of {title}", count(total));
    html! {
        figure {
            h3 { (title) }
            svg.plot role="img" aria-label=(label) viewBox=(format!("0 0 {bins} 100")) preserveAspectRatio="none" {
                path.low d=(columns(histogram, |x| cut.is_none_or(|cut| x < cut))) {}
                path.high d=(columns(histogram, |x| cut.is_some_and(|cut| x >= cut))) {}
                @if let Some(cut) = cut {
                    line.cut x1=(format!("{cut:.3}")) x2=(format!("{cut:.3}")) y1="-4" y2="100" {}
                }
            }
            div.axis aria-hidden="true" {
                span { (number(histogram.low)) } span { (number(f64::midpoint(histogram.low, histogram.high))) }
                span { (number(histogram.high)) }
            }
            figcaption {
                (caption)
                @if let Some(cut) = histogram.cut { " Cut at " strong { (number(cut)) } "." }
            }
        }
    }
}

/// Where a value lies, in bins.
fn place(histogram: &Histogram, value: f64) -> f64 {
    let width = (histogram.high - histogram.low).max(f64::MIN_POSITIVE);
    ((value - histogram.low) / width).clamp(0.0, 1.0) * histogram.counts.len() as f64
}

/// The columns whose middle is wanted, as one path.
fn columns(histogram: &Histogram, wanted: impl Fn(f64) -> bool) -> String {
    let most = histogram.counts.iter().max().copied().unwrap_or(0).max(1) as f64;
    let mut path = String::new();
    for (bin, &counted) in histogram.counts.iter().enumerate() {
        if counted > 0 && wanted(bin as f64 + 0.5) {
            let height = (counted as f64 / most).sqrt() * 100.0;
            write!(path, "M{:.2} 100v-{height:.2}h.84v{height:.2}z", bin as f64 + 0.08)
                .expect("writing to a string cannot fail");
        }
    }
    path
}

/// A share with its interval on a rail from 0 to 1, and the limit it is held to.
pub(super) fn range(name: &str, class: &str, interval: Interval, limit: Option<f64>) -> Markup {
    let at = |share: f64| format!("{:.2}", 100.0 * share);
    let label =
        format!("{name}: {}, from {} to {}", percent(interval.share), percent(interval.low), percent(interval.high));
    html! {
        div class=(format!("range {class}")) {
            span { (name) }
            svg role="img" aria-label=(label) viewBox="0 0 100 10" preserveAspectRatio="none" {
                line.rail x1="0" x2="100" y1="5" y2="5" vector-effect="non-scaling-stroke" {}
                @if let Some(limit) = limit {
                    line.limit x1=(at(limit)) x2=(at(limit)) y1="-1" y2="11" vector-effect="non-scaling-stroke" {}
                }
                line.span x1=(at(interval.low)) x2=(at(interval.high)) y1="5" y2="5" vector-effect="non-scaling-stroke" {}
                line.point x1=(at(interval.share)) x2=(at(interval.share)) y1="2" y2="8" vector-effect="non-scaling-stroke" {}
            }
            output { (percent(interval.share)) }
        }
    }
}

fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_parted_at_the_cut() {
        let two = Histogram { signal: "s".to_owned(), low: 0.0, high: 4.0, counts: vec![9, 0, 4, 1], cut: Some(2.0) };
        let page = histogram(&two, "suspicion", "all pairs").into_string();
        let part = |class: &str| page.split(&format!("class=\"{class}\" d=\"")).nth(1).map(|d| d.split('"').next());
        assert_eq!(part("low"), Some(Some("M0.08 100v-100.00h.84v100.00z")));
        assert_eq!(part("high").flatten().map(|d| d.matches('M').count()), Some(2));
    }

    #[test]
    fn a_histogram_of_nothing_is_drawn() {
        let none = Histogram { signal: "s".to_owned(), low: 1.0, high: 1.0, counts: vec![], cut: Some(1.0) };
        assert!(histogram(&none, "suspicion", "").into_string().contains("histogram of 0 values"));
    }
}
