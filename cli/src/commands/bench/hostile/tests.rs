use super::*;

fn found(quiet: Waits, under_attack: Waits, peak_mib: u64) -> Found {
    let rows = vec![Row { quiet, under_attack, ..row("random bytes") }];
    let (peak_bytes, limit_bytes) = (peak_mib << 20, 64 << 20);
    Found { rows, together: row("all side by side"), peak_bytes, limit_bytes, max_ratio: 2.0, seconds: 1.0 }
}

fn waits(p99_ms: f64) -> Waits {
    Waits::of((1..=100).map(|n| if n >= 99 { p99_ms } else { 1.0 }), 0)
}

#[test]
fn what_is_beyond_its_bound_is_told() {
    assert!(found(waits(10.0), waits(19.0), 64).faults().is_empty());
    let slow = found(waits(10.0), waits(21.0), 65).faults();
    assert!(slow.len() == 2 && slow[0].contains("2.10 times") && slow[1].contains("65 MiB"), "{slow:?}");
    assert_eq!(found(waits(10.0), Waits::of([1.0], 1), 1).faults(), ["1 honest calls failed under attack"]);
    assert_eq!(found(Waits::default(), Waits::default(), 1).faults().len(), 1, "nothing was measured");
}

#[test]
fn the_quotas_of_all_windows_come_to_what_was_asked_for() {
    for (requests, rounds) in [(1_000_000, 3), (1_000, 1)] {
        let plan = Plan { quiet: Duration::ZERO, attacked: Duration::ZERO, requests, rounds };
        let of_one = |attack: &Attack| plan.quota(*attack).requests * 2 * u64::from(rounds);
        let all: u64 = Attack::ALL.iter().map(of_one).sum();
        let most = requests + 20 * u64::from(rounds);
        assert!((requests..=most).contains(&all), "{all} of {requests}");
    }
}

#[test]
fn the_table_tells_what_came_back() {
    let mut found = found(waits(10.0), waits(15.0), 30);
    found.rows[0].tally.0 = [("closed".to_owned(), 90), ("held".to_owned(), 10)].into();
    let text = print::text(&found);
    assert!(text.contains("closed 90 %, held 10 %") && text.contains(" 1.50 "), "{text}");
    assert_eq!(print::json(&found)["attacks"][0]["answers"]["closed"], 90);
}
