//! The evidence: what unlearning did, the words, the samples, the scores.

use lethe_common::spec::{EvaluateSection, Pictures};
use lethe_evidence::artifacts::{
    Beside, Cluster, Exhibit, Graft, HandedBack, Histogram, Interval, Judged, Lead, Picture, WordScore, columns,
};
use maud::{Markup, html};

use super::Page;
use super::figures::{Bar, bars, histogram, range};
use super::gallery::{embedded, gallery};
use super::words::{count, percent, plural};
use crate::reduce::{lead_limits, no_shortcut, shows_words};

/// Words shown, at most.
const MAX_WORDS: usize = 12;

/// Before and after, with intervals and limits; nothing where nothing was trained.
pub(super) fn removal(page: &Page<'_>) -> Markup {
    let (report, limits) = (page.report, &page.spec.evaluate);
    if report.handed_back == HandedBack::Given {
        return html! {};
    }
    html! {
        section {
            h2 { "What changed in the model" }
            div.two {
                figure {
                    h3 { "Residual attraction" }
                    (range("before", "before", report.attraction_before, None))
                    (range("after", "after", report.attraction_after, Some(limits.max_residual_attraction)))
                    figcaption {
                        "The share of " (plural(report.attraction_after.of, "suspicious image")) " kept out of unlearning that "
                        "prefer a caption with the shortcut’s words to all others. They carry whatever triggers it, so this estimates the "
                        "attack’s success without knowing the trigger. Bands are 95 % intervals (after: "
                        (percent(report.attraction_after.low)) " to " (percent(report.attraction_after.high))
                        "); the dashed line is the limit, " (percent(limits.max_residual_attraction))
                        ". Above it what honest images do too is taken off, and the reasons say how much that is."
                    }
                }
                figure {
                    h3 { "What the model still knows" }
                    (range("before", "kept", report.retrieval_before, None))
                    (range("after", "kept", report.retrieval_after, None))
                    figcaption {
                        "The share of " (plural(report.retrieval_after.of, "safe image")) " kept out of all training whose own caption "
                        "is in the tenth, of eight captions at most, of their shard’s captions that they like best. Relative loss: " strong { (percent(report.retrieval_loss)) } ", of at most "
                        (percent(limits.max_retrieval_loss)) ". Their embeddings moved by "
                        strong { (format!("{:.4}", report.mean_drift)) } " on average (one minus the cosine)."
                    }
                }
            }
        }
    }
}

/// The words that gave it away.
pub(super) fn words(page: &Page<'_>) -> Markup {
    let report = page.report;
    let hot = report.words.iter().map(|word| bar(word, true));
    let rows: Vec<Bar> = hot.chain(report.other_words.iter().map(|word| bar(word, false))).take(MAX_WORDS).collect();
    html! {
        section {
            h2 { "The words that gave it away" }
            p.soft {
                "How much more often the captions of the forget set use a word than the whole corpus does, as the z-score of "
                "its log-odds. From " (format!("{:.0}", page.spec.localize.min_z)) " upwards, and from a fifth of the strongest, a word stands out."
            }
            @if rows.is_empty() { p { "No word stands out." } } @else { (bars(&rows)) }
        }
    }
}

/// The forget set by what it leads to: what its pictures do, and parts of them on others, beside parts of honest ones.
pub(super) fn clusters(page: &Page<'_>) -> Markup {
    let limits = &page.spec.evaluate;
    html! {
        section {
            h2 { "What the most suspicious samples lead to" }
            p.soft {
                "Suspicious samples whose captions share words are taken together. A shortcut is behind them where at least "
                (percent(limits.min_attraction)) " of their pictures prefer these words to all other captions, and where the pictures "
                "carry that over: parts of them were put on safe pictures with other captions, half beside half, a quarter in its place, what is "
                "coarse with what is fine in the host, and the other way round. Shown is the share of these that the given model takes for the words, and "
                "the same for parts of honest pictures with these words, which carry over what they show and nothing more. A trigger leads "
                (percent(limits.min_graft_lead)) " or more in one of these ways, and more often than honest parts do, by "
                (percent(limits.min_graft_excess)) " or more after one standard error (by more, where it leads fewer); which way says whether it is coarse or fine, or lies in one half or quarter. "
                "Where the pictures are, by thumbnail, nearer to honest pictures with these words than other pictures are, they show what the "
                "words say, and what is coarse in a trigger would have to lead nearly all. Members whose parts lead as those of honest pictures do, and "
                "not as the others’, are taken for honest and let go, and suspects with these words whose scores did not choose them, but which lead as the others do, are "
                "taken in, both where the two kinds come clearly apart by their own chances. Where they do not, suspects are taken in whose scores stand "
                "out from those of suspects with other words: at most a tenth are expected to be honest if honest suspects score alike, and a fifth with those that are "
                "forgotten but not dropped. The figures are of the members before that."
            }
            @if let Some(marks) = &page.report.marks {
                p {
                    "A person has marked " (plural(marks.poison, "suspect")) " as poison, which " (be(marks.poison)) " dropped and forgotten whatever is found, and "
                    (count(marks.clean)) " as clean, which " (be(marks.clean)) " neither."
                }
            }
            @if page.report.clusters.is_empty() { p { "There are none." } }
            @for (at, judged) in page.report.clusters.iter().enumerate() {
                (cluster(judged, limits))
                @if let Some(Some(picture)) = page.in_common.get(at) { (in_common(picture, page.spec.report.pictures)) }
            }
        }
    }
}

fn be(count: u64) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

fn cluster(judged: &Judged, limits: &EvaluateSection) -> Markup {
    let probe = judged.probe;
    let rows: Vec<Bar> = probe.grafts.all().into_iter().flat_map(|(name, graft)| graft_bars(name, graft)).collect();
    html! {
        h3 {
            (plural(judged.cluster.members, "sample")) " lead to " (named(&judged.cluster))
            @if !judged.is_shortcut() { ": no shortcut" }
            @else if no_shortcut(&probe, limits).is_some() { ": poison, as a person marked them" }
            @else { ": a shortcut" }
        }
        p {
            (percent(Interval::of(probe.attracted, probe.members).share)) " of their pictures prefer these words. "
            @if let Some(Lead { way, share, excess, .. }) = probe.lead(lead_limits(limits)) {
                "Of others, " (way.part()) " leads " (percent(share)) ", by " (format!("{:+.1}", 100.0 * excess.value)) " ± "
                (format!("{:.1}", 100.0 * excess.error)) " points more often than that of honest ones. "
            }
            @if judged.let_go > 0 {
                (plural(judged.let_go, "more sample")) " with these words " (if judged.let_go == 1 { "leads" } else { "lead" })
                " as honest pictures do: taken for honest, and kept. "
            }
            @if judged.is_shortcut() && judged.beside.suspects > 0 {
                (beside(judged.beside)) " "
            }
            @match (&judged.reason, shows_words(probe.likeness)) {
                (Some(reason), _) => (reason),
                (None, Some(shows)) => (shows),
                (None, None) => {}
            }
        }
        @if !rows.is_empty() { (bars(&rows)) }
    }
}

/// What became of those that their scores made no members.
fn beside(Beside { suspects, looked_at, taken_in, by_score, doubtful }: Beside) -> String {
    let those = format!(
        "{} with these words {}",
        plural(suspects, "more suspect"),
        if suspects == 1 { "was not chosen by its score" } else { "were not chosen by their scores" }
    );
    let seen = if looked_at < suspects {
        format!("; of the {} whose pictures were looked at, ", count(looked_at))
    } else {
        "; ".to_owned()
    };
    if by_score + doubtful > 0 {
        return format!("{those}{}", by_scores(by_score, doubtful));
    }
    let came = match taken_in {
        0 => "none was taken in.".to_owned(),
        1 => "1 leads as they do, and was taken in.".to_owned(),
        several => format!("{} lead as they do, and were taken in.", count(several)),
    };
    format!("{those}{seen}{came}")
}

/// Where pictures did not tell.
fn by_scores(taken_in: u64, doubtful: u64) -> String {
    let were = |some: u64| match some {
        0 => "none was".to_owned(),
        1 => "1 was".to_owned(),
        several => format!("{} were", count(several)),
    };
    let doubted = match doubtful {
        0 => String::new(),
        some => format!("; {} forgotten with them but not dropped, since too many such may be honest", were(some)),
    };
    format!(
        "; what their pictures lead to does not tell. By scores that stand out from those of suspects with other words, {} taken in{doubted}.",
        were(taken_in)
    )
}

fn in_common(picture: &Picture, pictures: Pictures) -> Markup {
    html! {
        @if pictures != Pictures::None {
            figure.common {
                svg role="img" aria-label="what the cluster’s pictures have in common" viewBox="0 0 1 1" {
                    (embedded(picture, None, pictures == Pictures::Blur))
                }
                figcaption {
                    "What their pictures have in common, as far as it is beyond doubt: how their mean differs from that of other "
                    "pictures, greatly enlarged; grey is no difference. A trigger that is always at the same place shows as it is; one that "
                    "moves, or bends what is there, shows faintly or not at all."
                }
            }
        }
    }
}

/// A cluster's strongest words.
pub(super) fn named(cluster: &Cluster) -> String {
    let words: Vec<String> = cluster.words.iter().take(3).map(|word| format!("“{}”", word.word)).collect();
    if words.is_empty() { "no common word".to_owned() } else { words.join(", ") }
}

/// Two bars, where suspicious pictures were grafted in this way.
fn graft_bars(name: &str, graft: Graft) -> Vec<Bar> {
    let bar = |whose: &str, hits: u64, of: u64, hot| {
        let share = hits as f64 / of.max(1) as f64;
        Bar { label: format!("{name}, {whose}"), value: share, text: format!("{} of {of}", percent(share)), hot }
    };
    if graft.suspicious == 0 {
        return Vec::new();
    }
    vec![
        bar("suspicious", graft.suspicious_attracted, graft.suspicious, true),
        bar("honest", graft.honest_attracted, graft.honest, false),
    ]
}

fn bar(word: &WordScore, hot: bool) -> Bar {
    Bar { label: word.word.clone(), value: word.z, text: format!("{:.1}", word.z), hot }
}

/// The gallery.
pub(super) fn exhibits(page: &Page<'_>) -> Markup {
    let shown: Vec<&Exhibit> = page.exhibits.iter().take(page.spec.localize.exhibits as usize).collect();
    html! {
        section {
            h2 { "The most suspicious samples" }
            p.soft {
                "Each picture as the model sees it, then with the regions that carry the match between picture and caption: the "
                "redder, the more the similarity falls when that region is taken away. Words are shaded likewise."
                @match page.spec.report.pictures {
                    Pictures::Show => {}
                    Pictures::Blur => { " The spec asks for blurred pictures." }
                    Pictures::None => { " The spec asks for no pictures, so only the regions are drawn." }
                }
            }
            @if shown.is_empty() { p { "There are none to show." } } @else { (gallery(&shown, page.spec.report.pictures)) }
        }
    }
}

/// The distributions that decided, then the rest for the curious.
pub(super) fn scores(page: &Page<'_>) -> Markup {
    let report = page.report;
    let first = [columns::SUSPICION, columns::SIMILARITY, columns::RANK_SCORE];
    let find = |name: &str| report.histograms.iter().find(|histogram| histogram.signal == name);
    let rest: Vec<&Histogram> = report.histograms.iter().filter(|h| !first.contains(&h.signal.as_str())).collect();
    html! {
        section {
            h2 { "How the scores fell" }
            p.soft { "Compared with " (report.compared_with) ". Heights are square roots of counts, so that a few can be seen among many." }
            div.two {
                @if let Some(shape) = find(columns::SUSPICION) {
                    (histogram(shape, "First pass: suspicion of all pairs", &format!("The {} to the right of the cut were looked at again.", count(report.suspects))))
                }
                @if let Some(shape) = find(columns::RANK_SCORE) {
                    (histogram(shape, "Second pass: score of the suspects", &format!("Those to the right of the cut were chosen; {} are the forget set, once their pictures were looked at.", count(report.forget))))
                }
                @if let Some(shape) = find(columns::SIMILARITY) {
                    (histogram(shape, "Image–text similarity of all pairs", "By the suspect model; not a cut, for orientation."))
                }
            }
            @if !rest.is_empty() {
                details {
                    summary { (plural(rest.len() as u64, "more signal")) }
                    div.two { @for shape in rest { (histogram(shape, &shape.signal.replace('_', " "), "")) } }
                }
            }
        }
    }
}
