//! What people say of suspects: kept as it was written, and by whom.

use lethe_common::blob::{BlobRef, Digest};
use lethe_common::ids::{AuditId, PhaseIndex};
use lethe_engine::{Command, Event, MARKS, MAX_DEEDS, Marked, Options, Plan, What};

use crate::bench::{Bench, audit, map, named, reduce};

fn blob(number: u64) -> BlobRef {
    let path = format!("{}/000/0000000/0.0/{MARKS}{number}.json", audit());
    BlobRef { path, size_bytes: number, digest: Digest::of(&number.to_le_bytes()) }
}

/// Ann marks one as poison, over what was there.
pub fn made(audit: &AuditId, number: u64, replaces: Option<u64>) -> Event {
    by("ann", (audit, number, replaces))
}

fn by(who: &str, (audit, number, replaces): (&AuditId, u64, Option<u64>)) -> Event {
    let (marks, replaces) = (blob(number), replaces.map(blob));
    let made = Marked { poison: 1, ..Marked::default() };
    Event::MarksMade { audit: audit.clone(), by: who.to_owned(), marks, replaces, made }
}

/// An audit that has ended: its one phase is done.
fn ended() -> Bench {
    let mut bench = Bench::with_workers(1);
    bench.submit(vec![reduce("plan")]);
    bench.reduce_done(0, 0, None);
    bench
}

fn sittings(bench: &Bench) -> Vec<(String, u32)> {
    let of = |what: What| match what {
        What::Marked(marked) => Some(marked.poison),
        What::Submitted | What::Controlled(_) => None,
    };
    bench.view().deeds.into_iter().filter_map(|deed| Some((deed.by, of(deed.what)?))).collect()
}

#[test]
fn marks_are_kept_after_the_end_and_by_the_next_leader() {
    let mut bench = ended();
    let commands = bench.step(made(&audit(), 1, None));
    assert!(matches!(&commands[..], [Command::Persist(changes)] if changes.len() == 1), "{commands:?}");
    assert_eq!(bench.view().marks, Some(blob(1)));
    bench.restore();
    assert_eq!((bench.view().marks, sittings(&bench)), (Some(blob(1)), vec![("ann".to_owned(), 1)]));
}

#[test]
fn marks_made_over_others_than_are_there_change_nothing() {
    let mut bench = ended();
    bench.step(made(&audit(), 1, None));
    assert_eq!(bench.step(by("bob", (&audit(), 2, None))), [], "ann's came in between");
    assert_eq!(bench.step(made(&named("nobody"), 2, None)), []);
    bench.step(by("bob", (&audit(), 2, Some(1))));
    assert_eq!(bench.view().marks, Some(blob(2)));
}

/// Two who mark by turns have a deed each, until an hour is over.
#[test]
fn a_sitting_is_one_deed() {
    let mut bench = ended();
    for number in 0..40 {
        let who = if number % 2 == 0 { "ann" } else { "bob" };
        bench.step(by(who, (&audit(), number, number.checked_sub(1))));
    }
    assert_eq!(sittings(&bench), [("ann".to_owned(), 20), ("bob".to_owned(), 20)]);
    bench.now = bench.now.plus_ms(60 * 60 * 1_000);
    bench.step(made(&audit(), 40, Some(39)));
    assert_eq!(sittings(&bench).len(), 3);
    for number in 41..41 + 2 * MAX_DEEDS as u64 {
        bench.now = bench.now.plus_ms(60 * 60 * 1_000);
        bench.step(made(&audit(), number, Some(number - 1)));
    }
    let deeds = bench.view().deeds;
    assert_eq!((deeds.len(), deeds[0].what), (MAX_DEEDS, What::Submitted));
}

#[test]
fn a_rerun_takes_over_the_marks_and_keeps_them_whatever_becomes_of_the_others() {
    let mut bench = Bench::with_workers(1);
    bench.outlined(vec![reduce("plan"), map("score"), reduce("report")], 1);
    bench.step(made(&audit(), 1, None));
    bench.step(Event::RerunRequested {
        audit: named("b"),
        of: audit(),
        from: PhaseIndex(0),
        plan: Plan { phases: vec![reduce("plan"), map("score"), reduce("report")] },
        spec_json: "{}".to_owned(),
        options: Options::default(),
    });
    bench.step(made(&audit(), 2, Some(1)));
    let marks = |id: &AuditId| bench.engine.view(id).expect("is there").marks;
    assert_eq!((marks(&audit()), marks(&named("b"))), (Some(blob(2)), Some(blob(1))));
    assert!([1, 2].into_iter().all(|number| bench.engine.points_at(&blob(number).path)));
    assert!(!bench.engine.points_at(&blob(3).path));
}
