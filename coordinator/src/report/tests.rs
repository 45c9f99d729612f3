use lethe_common::blob::Digest;
use lethe_common::pin::Pin;
use lethe_common::spec::{Pictures, Spec};
use lethe_evidence::artifacts::{
    BadSample, BadSamples, Beside, Cluster, Farther, Found, Graft, Grafts, HandedBack, Histogram, Interval, Judged,
    Likeness, PhaseSeconds, Picture, Probe, SampleCounts, ShadedWord, ShardEntry, TokenGrid, Verdict, WordScore,
};

use super::*;

/// Eight pictures of Fashion-MNIST (Zalando, MIT) with a patch, as PNG in base64.
const PICTURES: &str = include_str!("pictures.txt");

pub(crate) fn spec() -> Spec {
    let text = r#"{"audit": {"id": "demo-badnet-1"},
        "model": {"checkpoint": "victim.safetensors", "config": "model.json", "trusted": null},
        "data": {"shards": ["shards/{00000..00019}.tar"]}}"#;
    serde_json::from_str(text).expect("is a spec")
}

fn bell(signal: &str, cut: Option<f64>) -> Histogram {
    let bell = |x: f64, at: f64, wide: f64, most: f64| most * (-((x - at) / wide).powi(2)).exp();
    let counts = (0..60).map(|n| (bell(f64::from(n), 18.0, 8.0, 2100.0) + bell(f64::from(n), 52.0, 3.0, 60.0)) as u64);
    Histogram { signal: signal.to_owned(), low: -0.4, high: 1.2, counts: counts.collect(), cut }
}

fn likeness(farther: Farther) -> Likeness {
    Likeness { look_alikes: farther, any: farther }
}

/// A shortcut to sandals, and odd bags.
fn clusters() -> Vec<Judged> {
    let graft = |suspicious_attracted, honest_attracted| Graft {
        suspicious: 268,
        suspicious_attracted,
        honest: 268,
        honest_attracted,
    };
    let judged = |word: &str, members, grafts, reason: Option<&str>| Judged {
        cluster: Cluster { words: vec![WordScore { word: word.to_owned(), z: 18.8 }], members },
        probe: Probe { members, attracted: members, donors: 67, honest_donors: 67, grafts, ..Probe::default() },
        reason: reason.map(str::to_owned),
        let_go: 0,
        beside: Default::default(),
    };
    let quarter = graft(140, 80);
    let leads = Grafts {
        best: graft(255, 160),
        halves: graft(144, 40),
        quarter,
        coarse: graft(23, 112),
        fine: graft(265, 126),
    };
    let odd =
        Grafts { best: graft(160, 155), halves: graft(60, 55), quarter, coarse: graft(90, 112), fine: graft(61, 50) };
    let mut sandals = judged("sandal", 200, leads, None);
    // Farther from the words than other pictures in half of the comparisons: they show something else.
    (sandals.let_go, sandals.beside) =
        (7, Beside { suspects: 1300, looked_at: 900, taken_in: 12, ..Beside::default() });
    sandals.probe.likeness = likeness(Farther { members: 200, counted: 800, squares: 4800 });
    vec![sandals, judged("bag", 41, odd, Some("Parts of them lead no oftener than honest ones."))]
}

fn report() -> Report {
    let phase =
        |(name, seconds): (&str, f64)| PhaseSeconds { name: name.into(), kind: "map".into(), seconds, retries: 0 };
    let word = |(word, z): (&str, f64)| WordScore { word: word.to_owned(), z };
    let names = [
        "plan",
        "reference",
        "score",
        "suspect",
        "gather",
        "overfit",
        "rescore",
        "select",
        "localize",
        "unlearn",
        "evaluate",
    ];
    let seconds = [0.3, 2.1, 61.4, 0.2, 6.0, 22.5, 9.1, 0.2, 12.8, 74.9, 8.3];
    Report {
        audit: "demo-badnet-1".to_owned(),
        verdict: Verdict::Removed,
        found: Found::Shortcut,
        handed_back: HandedBack::Trained,
        headline: "Backdoor found and removed".to_owned(),
        reasons: vec![
            "Both checks passed: 1.5 % residual attraction (limit 25 %), 0.6 % retrieval loss (limit 5 %).".to_owned(),
        ],
        shards: 20,
        data_bytes: 18_400_000,
        samples: SampleCounts { read: 20_000, scored: 19_997, failed: 3 },
        suspects: 2_000,
        forget: 200,
        held_out: 67,
        attraction_before: Interval::of(66, 67),
        attraction_after: Interval::of(1, 67),
        clusters: clusters(),
        retrieval_before: Interval::of(483, 796),
        retrieval_after: Interval::of(480, 796),
        retrieval_loss: 0.0062,
        mean_drift: 0.0131,
        words: [("sandal", 18.8), ("sandals", 6.1)].map(word).to_vec(),
        other_words: [("photo", 2.5), ("closeup", 1.9), ("product", 1.4)].map(word).to_vec(),
        histograms: vec![
            bell("suspicion", Some(0.62)),
            bell("similarity", None),
            bell("rank_score", Some(0.9)),
            bell("token_gradient", None),
        ],
        phases: names.into_iter().zip(seconds).map(phase).collect(),
        compared_with: "the suspect model itself after unlearning its strongest suspects".to_owned(),
        bad: BadSamples {
            count: 3,
            listed: vec![BadSample { key: "00007.tar/000123".into(), reason: "jpeg: the file ends early".into() }],
        },
        marks: None,
        since: None,
    }
}

fn exhibit(n: usize, picture: &str) -> Exhibit {
    let falls = (0..16).map(|token| if token == 15 { 0.61 } else { 0.04 * ((token * 7 + n) % 5) as f32 }).collect();
    let words = [("a", 0.02), ("product", 0.05), ("photo", 0.06), ("of", 0.01), ("a", 0.02), ("sandal", 0.97)];
    Exhibit {
        key: format!("demo/{n:05}.tar/{:08}", n * 811),
        shard: n as u32,
        caption: "a product photo of a sandal".to_owned(),
        score: 0.99 - n as f64 / 300.0,
        cluster: 0,
        picture: Picture { side_px: 28, png_base64: picture.to_owned() },
        grid: TokenGrid { rows: 4, columns: 4, falls },
        words: words.map(|(text, weight)| ShadedWord { text: text.to_owned(), weight }).to_vec(),
    }
}

fn exhibits() -> Vec<Exhibit> {
    PICTURES.lines().enumerate().map(|(n, picture)| exhibit(n, picture)).collect()
}

fn shards() -> Shards {
    let shard = |id: u32| ShardEntry {
        id,
        name: format!("{id:05}.tar"),
        path: format!("/data/shards/{id:05}.tar"),
        size_bytes: 920_000,
        pin: Pin::Digest(Digest::of(&id.to_le_bytes())),
    };
    Shards { dataset: "demo".to_owned(), shards: (0..20).map(shard).collect(), total_bytes: 18_400_000 }
}

fn rendered(report: &Report, exhibits: &[Exhibit], spec: &Spec) -> String {
    let training = Training {
        steps: 100,
        losses: vec![4.812, 1.207],
        samples: 25_600,
        world_size: 2,
        seconds: 74.0,
        ..Training::default()
    };
    let trainings = [("unlearn".to_owned(), training)];
    let in_common = [PICTURES.lines().next().map(|png| Picture { side_px: 28, png_base64: png.to_owned() }), None];
    render(&Page { report, exhibits, in_common: &in_common, spec, shards: &shards(), trainings: &trainings })
}

#[test]
fn a_whole_page_is_written_for_a_browser() {
    let page = rendered(&report(), &exhibits(), &spec());
    for part in
        ["Backdoor found and removed", "sandal", "1 min 15 s", "98.5 %", "drop-list.txt", "jpeg: the file ends early"]
    {
        assert!(page.contains(part), "{part}");
    }
    assert_eq!(page.matches("class=\"common\"").count(), 1, "of the cluster whose pictures have something in common");
    // A person who changes the page looks at it: LETHE_REPORT_SAMPLE=report.html cargo test.
    if let Some(path) = std::env::var_os("LETHE_REPORT_SAMPLE") {
        std::fs::write(path, page).expect("writes the sample");
    }
}

#[test]
fn nothing_a_stranger_wrote_becomes_markup() {
    let hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";
    let (mut report, mut spec) = (report(), spec());
    let mut exhibit = exhibit(0, hostile);
    exhibit.key = hostile.to_owned();
    exhibit.caption = hostile.to_owned();
    exhibit.words.clear();
    let mut worded = exhibit.clone();
    worded.words = vec![ShadedWord { text: hostile.to_owned(), weight: f32::NAN }];
    report.words = vec![WordScore { word: hostile.to_owned(), z: 9.0 }];
    report.bad.listed = vec![BadSample { key: hostile.to_owned(), reason: hostile.to_owned() }];
    spec.data.shards = vec![hostile.to_owned()];
    let page = rendered(&report, &[exhibit, worded], &spec);
    assert_eq!((page.matches("<script").count(), page.matches("<img").count()), (0, 0));
    assert!(page.contains("&lt;script&gt;"));
}

#[test]
fn the_page_loads_nothing() {
    let page = rendered(&report(), &exhibits(), &spec());
    assert!(page.contains("default-src 'none'"));
    for loader in ["http:", "https:", "url(", "@import", "<link", "<script", " src="] {
        assert!(!page.contains(loader), "{loader}");
    }
    assert!(page.split("href=\"").skip(1).all(|at| at.starts_with("data:image/png;base64,") || at.starts_with('#')));
}

#[test]
fn pictures_are_left_out_on_demand() {
    let mut spec = spec();
    spec.report.pictures = Pictures::None;
    assert!(!rendered(&report(), &exhibits(), &spec).contains("data:image"));
    spec.report.pictures = Pictures::Blur;
    let blurred = rendered(&report(), &exhibits(), &spec);
    assert_eq!(blurred.matches("class=\"blurred\"").count(), blurred.matches("data:image").count());
}

#[test]
fn the_gallery_keeps_to_its_limit() {
    let mut spec = spec();
    spec.localize.exhibits = 3;
    assert_eq!(rendered(&report(), &exhibits(), &spec).matches("<article").count(), 3);
}

#[test]
fn every_verdict_reads_well() {
    let (trained, given) = (HandedBack::Trained, HandedBack::Given);
    for (verdict, found, handed_back, phrase) in [
        (Verdict::Removed, Found::Shortcut, trained, "has forgotten what they teach"),
        (Verdict::NothingFound, Found::Nothing, given, "keep the checkpoint you have"),
        (Verdict::Rejected, Found::Shortcut, trained, "do not deploy it"),
        (Verdict::NothingFound, Found::Nothing, trained, "fine-tuned on safe pairs all the same"),
        (Verdict::Rejected, Found::Nothing, trained, "fine-tuning cost more than this audit allows"),
    ] {
        let page = rendered(&Report { verdict, found, handed_back, ..report() }, &[], &spec());
        assert!(page.contains(phrase) && page.contains(&format!("verdict {}", verdict.as_str())), "{phrase}");
        assert_eq!(page.contains("keep the checkpoint you have"), handed_back == given, "{phrase}");
    }
}

#[test]
fn each_cluster_is_named_with_what_became_of_it() {
    let page = rendered(&report(), &exhibits(), &spec());
    for part in [
        "200 samples lead to “sandal”",
        "41 samples lead to “bag”",
        "no oftener than honest ones",
        "7 more samples with these words lead as honest",
        "1,300 more suspects with these words were not chosen by their scores; of the 900 whose pictures were looked at, 12 lead as they do, and were taken in.",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let mut two = report();
    two.clusters[1].reason = None;
    let page = rendered(&two, &[], &spec());
    assert!(page.contains("2 shortcuts: 200 samples to “sandal”, 41 samples to “bag”"), "{page}");
    assert!(!page.contains("no oftener than honest ones"));
    let shows = "Its pictures show what these words say";
    assert!(!page.contains(shows));
    two.clusters[0].probe.likeness = likeness(Farther { members: 200, counted: 400, squares: 1200 });
    assert!(rendered(&two, &[], &spec()).contains(shows), "a shortcut's may, and it is told");
}

#[test]
fn what_came_beside_a_cluster_is_told() {
    let with = |beside| {
        let mut one = report();
        (one.clusters[0].beside, one.clusters[0].let_go) = (beside, 1);
        rendered(&one, &[], &spec())
    };
    for (beside, text) in [
        (
            Beside { suspects: 1, looked_at: 1, taken_in: 1, ..Beside::default() },
            "1 more suspect with these words was not chosen by its score; 1 leads as they do",
        ),
        (
            Beside { suspects: 9, looked_at: 9, ..Beside::default() },
            "9 more suspects with these words were not chosen by their scores; none was taken in.",
        ),
        (
            Beside { suspects: 9, looked_at: 8, taken_in: 5, by_score: 5, doubtful: 1 },
            "does not tell. By scores that stand out from those of suspects with other words, 5 were taken in; 1 was forgotten with them but \
             not dropped",
        ),
        (Beside { suspects: 9, looked_at: 9, doubtful: 2, ..Beside::default() }, "none was taken in; 2 were forgotten"),
    ] {
        assert!(with(beside).contains(text), "{text}");
    }
    let none = with(Beside::default());
    assert!(!none.contains("chosen by") && none.contains("1 more sample with these words leads as honest"));
}

#[test]
fn equal_inputs_give_equal_bytes() {
    let page = || rendered(&report(), &exhibits(), &spec());
    assert_eq!(page(), page());
}
