use lethe_evidence::artifacts::{Farther, Graft, Grafts, Member, Residual};

use super::super::fixture;
use super::*;

fn residual(attracted_after: u64) -> Residual {
    Residual { held_out: 100, attracted_before: 99, attracted_after, ..Residual::default() }
}

/// Of two clusters, of the first of which nothing is left.
fn sums(attracted_after: u64, hits: (u64, u64)) -> Evaluation {
    Evaluation {
        safe_pairs: 200,
        retrieval_hits_before: hits.0,
        retrieval_hits_after: hits.1,
        drift_sum: 1.0,
        clusters: [0, attracted_after].map(residual).to_vec(),
    }
}

fn probe(attracted: u64, grafts: Grafts) -> Probe {
    Probe { members: 100, attracted, donors: 24, honest_donors: 24, grafts, likeness: Likeness::default() }
}

fn graft(suspicious_attracted: u64) -> Graft {
    Graft { suspicious: 100, suspicious_attracted, honest: 200, honest_attracted: 80 }
}

/// A part of a suspicious picture leads to the words as an honest one's does, or more often, or leads few.
#[test]
fn what_carries_over_no_more_than_honest_pictures_is_no_shortcut() {
    let limits = EvaluateSection::default();
    // With these shares and donors the error is 0.14.
    let limits = EvaluateSection { min_graft_excess: 0.1, ..limits };
    for (best, fine, is_none) in [(55, 20, true), (63, 20, true), (66, 20, false), (55, 66, false)] {
        let grafts = Grafts { best: graft(best), fine: graft(fine), ..Grafts::default() };
        let reason = no_shortcut(&probe(99, grafts), &limits);
        assert_eq!(reason.is_some_and(|reason| reason.contains("evaluate.min_graft_excess")), is_none);
    }
    let few = Grafts { fine: Graft { honest_attracted: 10, ..graft(33) }, ..Grafts::default() };
    let reason = no_shortcut(&probe(99, few), &limits).expect("leads few, and not by enough more");
    assert!(reason.contains("what is fine in each leads 0.330") && reason.contains("0.185 or more"), "{reason}");
    // The pictures show the words: what leads 0.66 of others by 0.26 was enough above, and is for a half or what is fine.
    let farther = Farther { members: 100, counted: 200, squares: 400 };
    let likeness = Likeness { look_alikes: farther, any: farther };
    let coarse = |hits| Grafts { coarse: graft(hits), ..Grafts::default() };
    let half = Grafts { best: graft(66), ..Grafts::default() };
    assert_eq!(no_shortcut(&Probe { likeness, ..probe(99, half) }, &limits), None);
    let odd = Probe { likeness, ..probe(99, coarse(66)) };
    let reason = no_shortcut(&odd, &limits).expect("shows what its words say");
    assert!(reason.contains("0.270 or more") && reason.contains("in 0.252 of comparisons"), "{reason}");
    let leads = Grafts { best: graft(90), ..Grafts::default() };
    assert_eq!(
        no_shortcut(&Probe { likeness, ..probe(99, coarse(90)) }, &limits),
        None,
        "a trigger on pictures of its target"
    );
    assert_eq!(no_shortcut(&probe(75, leads), &limits), None);
    let reason = no_shortcut(&probe(74, leads), &limits).expect("is none");
    assert!(reason.contains("evaluate.min_attraction"), "{reason}");
    assert!(no_shortcut(&probe(99, Grafts::default()), &limits).expect("is none").contains("cannot be told"));
    for few in [Probe { donors: 4, ..probe(99, leads) }, Probe { honest_donors: 0, ..probe(99, leads) }] {
        assert!(no_shortcut(&few, &limits).expect("is none").contains("5 of either are needed"));
    }
    assert!(no_shortcut(&Probe::default(), &limits).expect("is none").contains("could be looked at"));
}

/// Clusters by whether a shortcut is behind each.
fn confirmed(shortcuts: &[bool]) -> Confirmed {
    let names = ["word0", "word1", "word2"];
    fixture::confirmed(&names.into_iter().zip(shortcuts.iter().copied()).collect::<Vec<_>>())
}

fn spec(method: &str) -> Spec {
    let text = serde_json::json!({
        "audit": {"id": "a"}, "model": {"config": "m.json"}, "data": {"shards": ["0.tar"]},
        "unlearn": {"method": method},
    });
    serde_json::from_value(text).expect("is a spec")
}

#[test]
fn acceptance_holds_both_limits() {
    for method in ["tokens", "whole-pair", "par"] {
        // The limits: residual 0.25, loss 0.05.
        for (attracted, hits, verdict, reasons) in [
            (2, (100, 100), Verdict::Removed, 0),
            (25, (100, 95), Verdict::Removed, 0),
            (0, (100, 140), Verdict::Removed, 0),
            (26, (100, 100), Verdict::Rejected, 1),
            (2, (100, 94), Verdict::Rejected, 1),
            (80, (100, 10), Verdict::Rejected, 2),
            (2, (0, 0), Verdict::Rejected, 1),
        ] {
            let judgement = judge(&sums(attracted, hits), &confirmed(&[false, true]), &spec(method));
            assert_eq!((judgement.verdict, judgement.reasons.len()), (verdict, reasons), "{attracted:?} {hits:?}");
            assert_eq!((judgement.found, judgement.handed_back), (Found::Shortcut, HandedBack::Trained));
        }
    }
    let headline = |clusters: &[bool]| judge(&sums(2, (100, 100)), &confirmed(clusters), &spec("tokens")).headline;
    assert_eq!(headline(&[true, false]), "Backdoor found and removed");
    assert_eq!(headline(&[true, true, false]), "2 backdoors found and removed");
    let left = judge(&sums(26, (100, 100)), &confirmed(&[true, true]), &spec("tokens"));
    assert!(left.reasons[0].contains("“word1” is 0.260"), "the worst of the two counts: {:?}", left.reasons);
}

/// As where captions are natural: of honest images too a third prefers one with "photo".
#[test]
fn what_honest_images_follow_too_is_not_held_against_a_removal() {
    let sums = |attracted, honest, honest_attracted| {
        let residual = Residual {
            honest,
            honest_attracted_before: honest_attracted,
            honest_attracted_after: honest_attracted,
            ..residual(attracted)
        };
        Evaluation { clusters: vec![Residual::default(), residual], ..sums(0, (100, 100)) }
    };
    for (attracted, honest, honest_attracted, verdict, reason) in [
        (32, 400, 0, Verdict::Rejected, "0 of 400 honest images prefer such captions too"),
        (32, 400, 130, Verdict::Removed, "-0.007 with a standard error of 0.077, together 0.070, which is within"),
        // 0.25 beyond them, and no room for the error.
        (50, 400, 132, Verdict::Rejected, "0.254 with a standard error"),
        (43, 400, 132, Verdict::Removed, "0.149 with a standard error"),
        (100, 400, 132, Verdict::Rejected, "“word1” is 1.000; 132 of 400 honest"),
        (32, 400, 399, Verdict::Rejected, "more than half, so that nothing is known"),
        (32, 0, 0, Verdict::Rejected, "is 0.320; the limit is 0.25"),
    ] {
        let judgement = judge(&sums(attracted, honest, honest_attracted), &confirmed(&[false, true]), &spec("tokens"));
        assert_eq!(judgement.verdict, verdict, "{attracted} beside {honest_attracted}: {:?}", judgement.reasons);
        assert!(judgement.reasons.len() == 1 && judgement.reasons[0].contains(reason), "{:?}", judgement.reasons);
    }
    assert!(judge(&sums(25, 400, 0), &confirmed(&[false, true]), &spec("tokens")).reasons.is_empty());
}

#[test]
fn where_no_cluster_leads_the_given_checkpoint_is_handed_back_with_each_reason() {
    for method in ["tokens", "whole-pair"] {
        let judgement = judge(&sums(99, (100, 0)), &confirmed(&[false, false]), &spec(method));
        assert_eq!((judgement.verdict, judgement.found), (Verdict::NothingFound, Found::Nothing));
        assert_eq!(judgement.handed_back, HandedBack::Given);
        assert_eq!(judgement.reasons, ["“word0”: It does not lead.", "“word1”: It does not lead."]);
    }
}

#[test]
fn what_was_fine_tuned_is_handed_back_whatever_was_found() {
    for method in ["fine-tune", "clean-clip", "par"] {
        for (hits, verdict) in [((100, 95), Verdict::NothingFound), ((100, 94), Verdict::Rejected)] {
            let judgement = judge(&sums(70, hits), &confirmed(&[false]), &spec(method));
            assert_eq!((judgement.verdict, judgement.found), (verdict, Found::Nothing), "{method} {hits:?}");
            assert_eq!(judgement.handed_back, HandedBack::Trained);
            assert!(judgement.reasons.iter().any(|reason| reason.contains("fine-tuned all the same")));
        }
        let unknown = Evaluation { safe_pairs: 0, ..sums(0, (9, 9)) };
        assert_eq!(judge(&unknown, &confirmed(&[false]), &spec(method)).verdict, Verdict::Rejected);
    }
}

#[test]
fn what_was_not_measured_is_not_accepted() {
    for nothing in
        [Evaluation { clusters: Vec::new(), ..sums(0, (9, 9)) }, Evaluation { safe_pairs: 0, ..sums(0, (9, 9)) }]
    {
        assert_eq!(judge(&nothing, &confirmed(&[true]), &spec("tokens")).verdict, Verdict::Rejected);
    }
}

/// As where the one shard that a small second backdoor lies in was given up.
#[test]
fn of_two_backdoors_each_must_have_been_measured() {
    let mut confirmed = confirmed(&[true, true]);
    let held_out = |cluster: u32| Member {
        shard: cluster,
        key: "a".to_owned(),
        content: "a".to_owned(),
        caption: "word".to_owned(),
        score: 1.0,
        cluster,
        held_out: true,
    };
    confirmed.forget.members = vec![held_out(0), held_out(1)];
    let mut sums = sums(0, (100, 100));
    assert_eq!(judge(&sums, &confirmed, &spec("tokens")).verdict, Verdict::Removed);
    sums.clusters[1] = Residual::default();
    let judgement = judge(&sums, &confirmed, &spec("tokens"));
    assert_eq!(judgement.verdict, Verdict::Rejected);
    assert!(judgement.reasons[0].contains("None of the suspicious images of “word1”"), "{:?}", judgement.reasons);
    confirmed.forget.members.pop();
    assert_eq!(judge(&sums, &confirmed, &spec("tokens")).verdict, Verdict::Removed, "nothing was held out of it");
    let copy = Member { held_out: false, ..held_out(1) };
    confirmed.forget.members.extend(vec![copy; LEAST_MEMBERS]);
    let judgement = judge(&sums, &confirmed, &spec("tokens"));
    assert!(judgement.reasons[0].contains("“word1” are so few different pairs"), "{:?}", judgement.reasons);
}
