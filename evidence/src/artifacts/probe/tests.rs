//! How probes add up, and which way of grafting leads.

use super::super::Farther;
use super::*;

const LIMITS: LeadLimits = LeadLimits { excess: 0.06, share: 0.5 };

fn graft(suspicious: (u64, u64), honest: (u64, u64)) -> Graft {
    let ((suspicious_attracted, suspicious), (honest_attracted, honest)) = (suspicious, honest);
    Graft { suspicious, suspicious_attracted, honest, honest_attracted }
}

fn probe(grafts: Grafts) -> Probe {
    Probe { donors: 26, honest_donors: 16, grafts, ..Probe::default() }
}

#[test]
fn a_lead_has_the_error_of_as_many_donors() {
    let lead =
        probe(Grafts { best: graft((60, 100), (10, 100)), ..Grafts::default() }).lead(LIMITS).expect("has grafts");
    // 17.6 of 30 and 3.6 of 20.
    let error = (17.6 / 30.0 * 12.4 / 30.0 / 30.0 + 3.6 / 20.0 * 16.4 / 20.0 / 20.0_f64).sqrt();
    assert!((lead.excess.value - 0.5).abs() < 1e-12 && (lead.excess.error - error).abs() < 1e-12, "{lead:?}");
    assert!((lead.excess.least() - 0.5 + error).abs() < 1e-12);
    let all = Grafts { best: graft((16, 16), (0, 16)), ..Grafts::default() };
    let one = Probe { donors: 1, honest_donors: 1, grafts: all, ..Probe::default() };
    assert!(one.lead(LIMITS).expect("has grafts").excess.error > 0.25, "one donor of each kind tells little");
    assert_eq!(Probe::default().lead(LIMITS), None);
    assert_eq!(graft((1, 2), (0, 0)).excess(), Some(0.5));
}

#[test]
fn the_clearest_of_the_ways_decides() {
    // Trousers: any half of an honest one leads nearly all; what is fine in the poison tells.
    let ceiling = Grafts {
        best: graft((98, 100), (91, 100)),
        fine: graft((90, 100), (59, 100)),
        coarse: graft((1, 100), (22, 100)),
        ..Grafts::default()
    };
    assert_eq!(probe(ceiling).lead(LIMITS).expect("has grafts").way, Way::Fine);
    // Odd trousers without a trigger: what is coarse leads oftener, and leads few. A warp's does both by more.
    for (suspicious, honest, leads) in [(24, 12, false), (34, 10, true)] {
        let coarse = graft((suspicious, 100), (honest, 100));
        let odd = Probe { donors: 300, honest_donors: 300, ..probe(Grafts { coarse, ..Grafts::default() }) };
        let lead = odd.lead(LIMITS).expect("has grafts");
        assert_eq!(lead.margin() >= 0.0, leads, "{lead:?}");
    }
    assert!((LIMITS.excess(0.9) - 0.06).abs() < 1e-12 && (LIMITS.excess(0.3) - 0.16).abs() < 1e-12);
}

/// The figures of odd trousers of a clean model (seed 203), and of a warp's victim (seed 4). Half of an odd picture leads as half of
/// a plain one does.
#[test]
fn more_is_asked_of_what_is_coarse_in_pictures_that_show_what_their_words_say() {
    let likeness = |farther| {
        let mut of = Farther::default();
        (0..105).for_each(|member| of.add(if member % 2 == 0 { 2 } else { farther }, 0));
        Likeness { look_alikes: of, any: of }
    };
    let odd = graft((170, 420), (98, 652));
    let warp = graft((484, 1420), (64, 640));
    let most = graft((400, 420), (98, 652));
    for (coarse, farther, leads) in
        [(odd, 0, false), (odd, 2, true), (warp, 2, true), (warp, 0, false), (most, 0, true)]
    {
        let grafts = Grafts { coarse, ..Grafts::default() };
        let probe = Probe { donors: 105, honest_donors: 163, grafts, likeness: likeness(farther), ..Probe::default() };
        let lead = probe.lead(LIMITS).expect("has grafts");
        assert_eq!(lead.margin() >= 0.0, leads, "{lead:?} {:?}", probe.likeness.farther());
        for (way, grafts) in [
            (Way::BestHalf, Grafts { best: coarse, ..Grafts::default() }),
            (Way::BestQuarter, Grafts { quarter: coarse, ..Grafts::default() }),
            (Way::Fine, Grafts { fine: coarse, ..Grafts::default() }),
        ] {
            let plain = Probe { grafts, ..probe }.lead(LIMITS).expect("has grafts");
            assert_eq!((plain.way, plain.asked), (way, LIMITS.excess(coarse.share().expect("has some"))));
        }
    }
}

#[test]
fn probes_of_earlier_versions_are_read() {
    let mut probes = Probes { clusters: vec![Probe::default()], donors: vec![DonorHits::default()] };
    let mut earlier = serde_json::to_value(&probes).expect("is JSON");
    earlier["donors"][0].as_object_mut().expect("is one").remove("candidates");
    assert_eq!(serde_json::from_value::<Probes>(earlier.clone()).expect("is one"), probes);
    earlier.as_object_mut().expect("is one").remove("donors");
    probes.donors.clear();
    earlier["clusters"][0].as_object_mut().expect("is one").remove("likeness");
    earlier["clusters"][0]["grafts"].as_object_mut().expect("is one").remove("quarter");
    assert_eq!(serde_json::from_value::<Probes>(earlier).expect("is one"), probes);
}

#[test]
fn probes_of_a_cluster_add_up_by_place() {
    let farther = |times: u64| Farther { members: times, counted: 3 * times, squares: 9 * times };
    let likeness = |times| Likeness { look_alikes: farther(times), any: farther(2 * times) };
    let probe = |members| Probe {
        members,
        attracted: 1,
        donors: 2,
        honest_donors: 3,
        grafts: Grafts::default(),
        likeness: likeness(1),
    };
    let donors = |shard, honest| {
        let hits = Hits { half: shard as u8, ..Hits::default() };
        let donor = |key: &str| vec![Donor { shard, key: key.to_owned(), hits }];
        DonorHits { members: donor("a"), candidates: donor("b"), honest: vec![Hits::default(); honest] }
    };
    let one = Probes { clusters: vec![probe(4)], donors: vec![donors(1, 2)] };
    let two = Probes { clusters: vec![probe(5), probe(6)], donors: vec![donors(3, 1), donors(3, 4)] };
    let sum = Probes::default().plus(&one).plus(&two);
    let both =
        Probe { members: 9, attracted: 2, donors: 4, honest_donors: 6, likeness: likeness(2), ..Probe::default() };
    assert_eq!(sum.clusters, [both, probe(6)]);
    let members = [donors(1, 0).members, donors(3, 0).members].concat();
    let candidates = [donors(1, 0).candidates, donors(3, 0).candidates].concat();
    assert_eq!(sum.donors, [DonorHits { members, candidates, honest: vec![Hits::default(); 3] }, donors(3, 4)]);
}
