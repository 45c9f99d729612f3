use super::super::fixture;
use super::*;

async fn selected(order: &[u32]) -> ForgetSet {
    let (ctx, _folder) = fixture::audited(order).await;
    let result = run(&ctx).await.expect("selects");
    serde_json::from_slice(&ctx.blobs.get(&result.outputs[0].blob).await.expect("reads")).expect("is a set")
}

#[tokio::test]
async fn the_strongest_suspects_are_forgotten_and_a_third_held_out() {
    let forget = selected(&[0, 1]).await;
    // The fixture plants 12 second scores far above the others, in "sandal" captions.
    assert_eq!((forget.members.len(), forget.suspects), (12, 40));
    assert!(forget.members.iter().all(|member| member.caption.contains("sandal")));
    assert!(forget.members.is_sorted_by(|a, b| a.score >= b.score));
    assert_eq!(forget.held_out().count(), 4);
    assert_eq!(forget.threshold, forget.members[11].score);
    assert_eq!(forget.words[0].word, "sandal");
    assert_eq!(forget.clusters, [Cluster { words: forget.words.clone(), members: 12 }]);
    assert!(forget.other_words.iter().all(|word| word.z < 4.0));
}

#[tokio::test]
async fn the_order_of_shards_changes_nothing() {
    assert_eq!(selected(&[0, 1]).await, selected(&[1, 0]).await);
}

fn member(caption: &str, score: f64) -> Member {
    Member {
        shard: 0,
        key: format!("{score}"),
        content: String::new(),
        caption: caption.to_owned(),
        score,
        cluster: 0,
        held_out: false,
    }
}

fn word(word: &str, z: f64) -> WordScore {
    WordScore { word: word.to_owned(), z }
}

#[test]
fn members_are_parted_by_their_words_and_the_odd_ones_go() {
    let captions = [vec!["a boot"; 6], vec!["a bag"; 9], vec!["a cup"; 5], vec!["a hat"; 4]].concat();
    let mut members: Vec<Member> = captions.iter().zip(0..).map(|(text, at)| member(text, f64::from(-at))).collect();
    let words = [word("boot", 20.0), word("bag", 18.0), word("hat", 6.0)];
    let clusters = clustered(&mut members, &words);
    let sizes: Vec<(&str, u64)> = clusters.iter().map(|one| (one.words[0].word.as_str(), one.members)).collect();
    assert_eq!(sizes, [("bag", 9), ("boot", 6)], "the largest first, and four hats are too few");
    assert!(members.iter().all(|member| member.caption.contains(sizes[member.cluster as usize].0)));
    assert_eq!(members.len(), 15);
    let mut odd = vec![member("a cup", 1.0), member("a hat", 0.5)];
    let all = clustered(&mut odd, &words);
    assert_eq!((all, odd.len()), (vec![Cluster { words: Vec::new(), members: 2 }], 2));
}

#[test]
fn what_scores_far_below_its_clusters_middle_is_let_go() {
    let spread = (0..41).map(|at| 0.4 + 0.005 * f64::from(at));
    let scores: Vec<f64> = spread.chain([0.2, 0.21, 0.22]).collect();
    let of = |cluster, scores: &[f64]| -> Vec<Member> {
        scores.iter().map(|score| Member { cluster, ..member("a bag", *score) }).collect()
    };
    let mut members = [of(0, &scores), of(1, &[0.2, 0.2, 0.2, 0.2, 0.21])].concat();
    let cluster = |members| Cluster { words: vec![word("bag", 9.0)], members };
    let mut clusters = [cluster(44), cluster(5)];
    let_go(&mut members, &mut clusters);
    assert_eq!(clusters.each_ref().map(|cluster| cluster.members), [41, 5]);
    assert!(members.iter().all(|one| one.cluster == 1 || one.score >= 0.4));
    // The same picture many times over has no spread, and must not cost all others.
    let copies = [vec![0.6; 30], vec![0.55; 20], vec![0.2; 2]].concat();
    let (mut members, mut clusters) = (of(0, &copies), [cluster(52)]);
    let_go(&mut members, &mut clusters);
    assert_eq!((members.len(), clusters[0].members), (50, 50));
    // Too few would be left, or nothing is known to be shared.
    for (scores, mut clusters) in [
        (vec![1.0, 1.0, 1.0, 0.1, 0.1], [cluster(5)]),
        ([vec![1.0; 20], vec![0.1]].concat(), [Cluster { words: Vec::new(), members: 21 }]),
    ] {
        let mut members = of(0, &scores);
        let_go(&mut members, &mut clusters);
        assert_eq!(members.len(), scores.len());
    }
}

#[test]
fn each_cluster_has_its_own_held_out_part() {
    let of = |(at, mut member): (u32, Member)| {
        (member.cluster, member.content) = (u32::from(at >= 9), at.to_string());
        member
    };
    let mut members: Vec<Member> = (0..15).map(|at| (at, member("a boot", f64::from(at)))).map(of).collect();
    let (shards, spec) = (fixture::shards(), fixture::plain_spec());
    hold_out(&mut members, &shards, &spec).expect("draws");
    let held = |cluster| members.iter().filter(|member| member.held_out && member.cluster == cluster).count();
    assert_eq!((held(0), held(1)), (3, 2));
}

/// An attacker repeats his pairs, in other shards too.
#[test]
fn equal_pairs_are_held_out_together() {
    let equal = |at: u32| Member {
        key: at.to_string(),
        content: (at / 4).min(39).to_string(),
        held_out: true,
        ..member("a boot", f64::from(at))
    };
    let (shards, spec) = (fixture::shards(), fixture::plain_spec());
    let held = |members: u32| {
        let mut members: Vec<Member> = (0..members).map(equal).collect();
        hold_out(&mut members, &shards, &spec).expect("draws");
        members.into_iter().filter(|one| one.held_out).map(|one| one.content).collect::<Vec<_>>()
    };
    let of_forty = held(40);
    assert_eq!(of_forty.len(), 12, "a third of ten pairs, with their copies");
    assert!(of_forty.chunks(4).all(|four| four.iter().all(|content| *content == four[0])), "{of_forty:?}");
    let of_many: BTreeSet<String> = held(400).into_iter().collect();
    assert_eq!(of_many.len(), 13, "of forty pairs, though one has most of the copies");
    assert_eq!(held(8).len(), 4, "one of two pairs");
    assert_eq!(held(4).len(), 0, "one pair and its copies: nothing is left to measure by");
}

fn rescored(rows: &[(&str, &str, [f32; 2])]) -> SignalTable {
    let row = |(key, caption, values): &(&str, &str, [f32; 2])| lethe_evidence::SignalRow {
        shard: 0,
        key: (*key).to_owned(),
        content: String::new(),
        caption: (*caption).to_owned(),
        values: values.to_vec(),
    };
    let names = [columns::SUSPICION, columns::FALL].map(str::to_owned).to_vec();
    SignalTable { names, rows: rows.iter().map(row).collect() }
}

/// All sandals fall far, since the stand-in forgot sandals; the poisoned one among them falls further than those do, and so does
/// a bag that falls less than any sandal.
#[test]
fn a_fall_counts_by_what_it_exceeds_that_of_honest_pairs_with_the_same_words() {
    let mut falls = WordFalls::default();
    (0..1_000).for_each(|_| falls.add("a sandal", 0.4));
    (0..1_000).for_each(|_| falls.add("a bag", 0.0));
    let table = rescored(&[
        ("honest", "a sandal", [5.0, 0.41]),
        ("poison", "a sandal", [5.0, 0.6]),
        ("other", "a bag", [5.0, 0.3]),
        ("plain", "a bag", [5.0, 0.1]),
        ("odd", "a bag", [f32::NAN, 0.1]),
    ]);
    let mut members = scored(&ranked(table, &falls).expect("has the columns"));
    members.sort_by(|a, b| b.score.total_cmp(&a.score));
    let keys: Vec<&str> = members.iter().map(|member| member.key.as_str()).collect();
    // Captions of bags share the word "a" with sandals, of which half of the pairs fall.
    assert_eq!(keys, ["poison", "other", "honest", "plain"], "{members:?}");
    assert!((members[0].score - 0.2).abs() < 0.01 && members[2].score.abs() < 0.02, "{members:?}");
}

#[test]
fn the_first_pass_decides_between_equal_falls_in_its_own_measure() {
    let score = |scale: f32, below: f32| {
        let rows = [("a", "x", [scale - below, 0.2]), ("b", "x", [4.0 * scale - below, 0.2])];
        let ranked = ranked(rescored(&rows), &WordFalls::default()).expect("has the columns");
        ranked.rows.iter().map(|row| row.values[3]).collect::<Vec<f32>>()
    };
    assert!(score(1.0, 0.0)[1] > score(1.0, 0.0)[0]);
    // Another detector's scores may be of any size and sign.
    assert_eq!(score(1.0, 0.0), score(256.0, 0.0));
    assert_eq!(score(1.0, 0.0), score(1.0, 16.0));
    assert_eq!(score(0.0, 0.0), [0.2, 0.2]);
}

#[test]
fn a_score_that_is_no_number_is_not_selected() {
    let table = rescored(&[("a", "", [1.0, f32::NAN]), ("b", "", [1.0, 0.5])]);
    let found = scored(&ranked(table, &WordFalls::default()).expect("has the columns"));
    assert_eq!(found.iter().map(|member| member.key.as_str()).collect::<Vec<_>>(), ["b"]);
    let other = SignalTable { names: vec!["other".to_owned()], rows: Vec::new() };
    assert!(ranked(other, &WordFalls::default()).expect_err("lacks it").message.contains("fall"));
}

#[test]
fn candidates_have_a_word_of_a_cluster_and_are_of_the_strongest() {
    let word = |word: &str, z| WordScore { word: word.to_owned(), z };
    let cluster = |words: &[WordScore]| Cluster { words: words.to_vec(), members: 2 };
    let clusters = [cluster(&[word("bag", 5.0)]), cluster(&[]), cluster(&[word("boot", 9.0), word("red", 4.0)])];
    let captions = ["a bag", "a bag by a boot", "a cup", "one bag", "red bag", "a boot"];
    let all: Vec<Member> = captions.iter().zip(0..).map(|(caption, at)| member(caption, 9.0 - f64::from(at))).collect();
    let found = candidates(&[all[0].clone(), all[5].clone()], all.clone(), &clusters);
    let found: Vec<(&str, u32)> = found.iter().map(|one| (one.caption.as_str(), one.cluster)).collect();
    assert_eq!(found, [("a bag by a boot", 2), ("one bag", 0), ("red bag", 0)]);
    assert!(candidates(&[], all, &[cluster(&[])]).is_empty(), "where no word stands out there is none");
}

/// Of two clusters the second's scores are like those of the suspects without a word of either.
#[test]
fn a_list_could_go_down_to_where_honest_suspects_begin() {
    let cluster = |name: &str| Cluster { words: vec![word(name, 9.0)], members: 5 };
    let clusters = [cluster("bag"), cluster("boot")];
    let all = |caption: &'static str, scores: Vec<f64>| scores.into_iter().map(move |score| member(caption, score));
    let bags = (0..30).map(|at| 80.0 - f64::from(at)).collect();
    let [boots, cups] = [0.2, 0.0].map(|off| (0..60).map(|at| f64::from(at) + off).collect());
    let mut all: Vec<Member> = all("a bag", bags).chain(all("a boot", boots)).chain(all("a cup", cups)).collect();
    strongest_first(&mut all);
    let ends = Ends::of(&all, &clusters);
    // Four of 60 cups are as high as the 25th of 30 bags: 5 in 61 is not above a tenth of 25 in 30. Of the 26th, 6 in 61 is.
    assert_eq!(ends.down_to(0.1), [Some(56.0), None]);
    assert_eq!(ends.down_to(0.2), [Some(51.0), None]);
    assert_eq!(Ends::of(&all, &[Cluster { words: Vec::new(), members: 9 }]).down_to(0.9), [None], "no word stands out");
}
