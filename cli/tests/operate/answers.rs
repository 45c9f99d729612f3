//! What the commands send and print, once a leader answers.

use lethe_proto::v1::{AuditView, RunState, WorkerView};

use crate::fake::{Running, Script};
use crate::run::{concluded, lethe, march};

fn knowing(audits: Vec<AuditView>) -> Running {
    Running::start(Script { audits, ..Script::default() })
}

#[test]
fn empty_states_say_what_to_do() {
    let empty = knowing(Vec::new());
    assert_eq!(lethe(&[&empty.url()], &["list"]).well(), "no audits; submit one with lethe submit SPEC\n");
    assert!(lethe(&[&empty.url()], &["workers"]).well().contains("start one with lethe-worker"));
    let ended = knowing(vec![march(RunState::Succeeded)]);
    assert!(lethe(&[&ended.url()], &["list"]).well().contains("1 ended; see them with lethe list --all"));
    assert!(lethe(&[&ended.url()], &["list", "--all"]).well().contains("march"));
}

#[test]
fn what_an_audit_came_to_is_told_wherever_it_is_shown() {
    let view = || concluded("rejected", "Backdoor found, but not removed");
    let coordinator = knowing(vec![view()]);
    for call in [&["show", "march"][..], &["list", "--all"]] {
        let told = lethe(&[&coordinator.url()], call).well();
        assert!(told.contains("Backdoor found, but not removed"), "{told}");
    }
    assert_eq!(lethe(&[&coordinator.url()], &["show", "march", "--output", "json"]).json()["verdict"], "rejected");
    for (verdict, code) in [("removed", 0), ("nothing-found", 0), ("rejected", 3), ("of-next-year", 1)] {
        let stream = vec![Ok(concluded(verdict, "It came to this"))];
        let coordinator = Running::start(Script { streams: [stream].into(), ..Script::default() });
        let watched = lethe(&[&coordinator.url()], &["watch", "march"]);
        assert_eq!((watched.code, watched.out.contains("It came to this")), (code, true), "{verdict}: {}", watched.err);
        assert_eq!(watched.err.contains("lethe fetch march report.html"), code != 0, "{verdict}: {}", watched.err);
    }
}

#[test]
fn an_address_for_a_browser_is_all_that_is_printed() {
    let coordinator = knowing(Vec::new());
    assert_eq!(lethe(&[&coordinator.url()], &["open"]).well(), "http://127.0.0.1:9/login?code=0\n");
    assert_eq!(
        lethe(&[&coordinator.url()], &["open", "--output", "json"]).json()["url"],
        "http://127.0.0.1:9/login?code=0"
    );
}

#[test]
fn an_unknown_audit_is_bad_input_with_the_names_near_it() {
    let coordinator = knowing(vec![march(RunState::Running)]);
    for call in ["show", "watch", "pause", "resume", "approve", "cancel", "fetch"] {
        let error = lethe(&[&coordinator.url()], &[call, "marhc"]).error(2);
        assert!(error.contains("did you mean march?"), "{call}: {error}");
    }
    let error = lethe(&[&coordinator.url()], &["show", "zebra"]).error(2);
    assert!(error.contains("lethe list --all"), "{error}");
}

#[test]
fn audits_are_paused_resumed_and_cancelled() {
    let coordinator = knowing(vec![march(RunState::Running)]);
    let said = |call| lethe(&[&coordinator.url()], &[call, "march"]).well();
    assert!(said("pause").starts_with("march: paused"));
    assert!(said("resume").starts_with("march: running"));
    assert!(said("approve").contains("follows its delivery"));
    assert!(said("cancel").contains("this is final"));
    assert_eq!(coordinator.script().calls, ["pause", "resume", "approve", "cancel"]);
}

#[test]
fn marks_are_sent_from_a_file_and_printed_as_one() {
    let folder = tempfile::tempdir().expect("makes a folder");
    let file = folder.path().join("marks.csv");
    let path = file.to_str().expect("is UTF-8");
    std::fs::write(&file, "shard,key,mark\n0,0007,poison\n1,0003,clean\n").expect("writes");
    let coordinator = knowing(vec![march(RunState::Succeeded)]);
    let said = lethe(&[&coordinator.url()], &["mark", "march", "--file", path]).well();
    assert!(
        said.contains("1 marked as poison, 1 as clean") && said.contains("lethe rerun march --from select"),
        "{said}"
    );
    let table = lethe(&[&coordinator.url()], &["marks", "march"]).well();
    assert_eq!(table, "shard,key,content,mark,by,at_ms\n0,0007,,poison,ann,0\n1,0003,,clean,ann,0\n");
    let json = lethe(&[&coordinator.url()], &["marks", "march", "--output", "json"]).json();
    assert_eq!(json[0]["mark"], "poison");
    std::fs::write(&file, "shard,key,mark\n0,0007,perhaps\n").expect("writes");
    let error = lethe(&[&coordinator.url()], &["mark", "march", "--file", path]).error(2);
    assert!(error.contains("marks.csv: line 2") && error.contains("perhaps"), "{error}");
    assert!(lethe(&[&coordinator.url()], &["mark", "marhc", "--file", "no.csv"]).error(2).contains("no.csv"));
}

fn with_a_result(withheld: &[&str], breaks_off: Option<usize>) -> Running {
    Running::start(Script {
        audits: vec![concluded("rejected", "Backdoor found, but not removed")],
        files: vec![("report.html", b"<p>a page</p>".to_vec()), ("clean.safetensors", vec![7; 100])],
        withheld: withheld.iter().map(|name| (*name).to_owned()).collect(),
        breaks_off,
        ..Script::default()
    })
}

#[test]
fn a_result_is_fetched_whole_once_and_without_what_is_withheld() {
    let folder = tempfile::tempdir().expect("makes a folder");
    let out = folder.path().join("results").to_str().expect("is UTF-8").to_owned();
    let waits = with_a_result(&["clean.safetensors"], None);
    let said = lethe(&[&waits.url()], &["fetch", "march", "--out", &out]).well();
    assert!(
        said.starts_with("rejected: Backdoor found, but not removed\n")
            && said.contains("report.html  13 B")
            && said.contains("withheld until it is approved: clean.safetensors"),
        "{said}"
    );
    let read = |name: &str| std::fs::read(std::path::Path::new(&out).join(name));
    assert_eq!(read("report.html").expect("was fetched"), b"<p>a page</p>");
    assert!(read("clean.safetensors").is_err());
    let approved = with_a_result(&[], None);
    let json = lethe(&[&approved.url()], &["fetch", "march", "--out", &out, "--output", "json"]).json();
    assert_eq!((&json["fetched"], &json["kept"]), (&["clean.safetensors"].into(), &["report.html"].into()));
    assert_eq!(read("clean.safetensors").expect("was fetched"), [7; 100]);
    assert_eq!(json["verdict"], "rejected");
    assert_eq!(
        approved.script().calls,
        ["fetch", "get", "fetch"],
        "the list, the verdict, and the one file that lacked"
    );
    let error = lethe(&[&approved.url()], &["fetch", "march", "report.htm", "--out", &out]).error(2);
    assert!(error.contains("did you mean report.html?"), "{error}");
}

#[test]
fn a_file_that_breaks_off_never_has_its_name() {
    let folder = tempfile::tempdir().expect("makes a folder");
    let out = folder.path().to_str().expect("is UTF-8").to_owned();
    let coordinator = with_a_result(&[], Some(8));
    let error = lethe(&[&coordinator.url()], &["fetch", "march", "report.html", "--out", &out]).error(1);
    assert!(error.contains("report.html broke off") && error.contains("the same command"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("lists").count(), 0, "nothing half lies there");
}

const SPEC: &str = "[audit]\nid = \"march\"\n[model]\ncheckpoint = \"m.safetensors\"\nconfig = \"m.json\"\n[data]\nshards = [\"0.tar\"]\n";

fn spec() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("makes a folder");
    let path = folder.path().join("audit.toml");
    std::fs::write(&path, SPEC).expect("writes");
    let path = path.to_str().expect("is UTF-8").to_owned();
    (folder, path)
}

#[test]
fn a_spec_is_submitted_with_who_and_how_urgent() {
    let coordinator = knowing(Vec::new());
    let (_folder, path) = spec();
    let text = lethe(&[&coordinator.url()], &["submit", &path, "--priority", "-5"]).well();
    assert!(text.starts_with("march: pending") && text.contains("2nd in the queue: waits for april"), "{text}");
    assert!(text.contains("lethe watch march"), "{text}");
    let submitted = coordinator.script().submitted[0].clone();
    assert_eq!((submitted.audit.as_str(), submitted.submitter.as_str(), submitted.priority), ("march", "ann", -5));
    let sent: serde_json::Value = serde_json::from_slice(&submitted.spec_json).expect("is JSON");
    assert_eq!(sent["audit"]["id"], "march");
    assert!(sent["model"]["config"].as_str().expect("is a path").starts_with('/'), "{sent}");
    lethe(&[&coordinator.url()], &["submit", &path, "--priority", "101"]).error(2);
    assert_eq!(coordinator.script().submitted.len(), 1);
}

#[test]
fn a_schedule_fired_twice_for_one_time_names_one_audit() {
    let fired = AuditView { audit: "nightly-20261129t0200z".to_owned(), ..march(RunState::Running) };
    let coordinator = knowing(vec![fired]);
    let (folder, path) = spec();
    let fire =
        |at: &str| lethe(&[&coordinator.url()], &["submit", &path, "--schedule", "nightly", "--scheduled-at", at]);
    for at in ["2026-11-29T02:00:00Z", "lethe-schedule-29931960"] {
        let _ = fire(at).well();
    }
    // A settings map changed between the two; a plain submit would be refused.
    std::fs::write(folder.path().join("audit.toml"), SPEC.replace("0.tar", "1.tar")).expect("writes");
    let text = fire("2026-11-29T02:00:00Z").well();
    assert!(text.contains("nightly-20261129t0200z: running"), "{text}");
    let _ = fire("2026-11-30T02:00:00Z").well();
    let submitted: Vec<String> = coordinator.script().submitted.iter().map(|s| s.audit.clone()).collect();
    assert_eq!(submitted, ["nightly-20261129t0200z", "nightly-20261129t0200z", "nightly-20261130t0200z"]);
    let sent: serde_json::Value =
        serde_json::from_slice(&coordinator.script().submitted[0].spec_json).expect("is JSON");
    assert_eq!(sent["audit"]["id"], "nightly-20261129t0200z", "the spec has the id that it is known by");
    fire("by-hand").error(2);
    lethe(&[&coordinator.url()], &["submit", &path, "--schedule", "nightly"]).error(2);
}

#[test]
fn a_submit_that_follows_ends_as_the_audit_does() {
    let (_folder, path) = spec();
    let submit = |state| {
        let streams = [vec![Ok(march(RunState::Running)), Ok(march(state))]].into();
        let coordinator = Running::start(Script { streams, ..Script::default() });
        lethe(&[&coordinator.url()], &["submit", &path, "--follow"])
    };
    assert!(submit(RunState::Succeeded).well().contains("march: succeeded"));
    assert!(submit(RunState::Failed).error(1).contains("march failed"));
}

#[test]
fn a_rerun_names_its_phase_and_gets_a_free_id() {
    let second = AuditView { audit: "march-2".to_owned(), ..march(RunState::Failed) };
    let coordinator = knowing(vec![march(RunState::Failed), second]);
    let error = lethe(&[&coordinator.url()], &["rerun", "march", "--from", "scroe"]).error(2);
    assert!(error.contains("did you mean score?"), "{error}");
    let text = lethe(&[&coordinator.url()], &["rerun", "march", "--from", "score"]).well();
    assert!(text.contains("march-3") && text.contains("re-run of march"), "{text}");
    let (_folder, path) = spec();
    let _ =
        lethe(&[&coordinator.url()], &["rerun", "march", "--from", "score", "--id", "april", "--spec", &path]).well();
    let reruns = coordinator.script().reruns.clone();
    assert_eq!((reruns[0].of.as_str(), reruns[0].from_phase.as_str()), ("march", "score"));
    assert!(reruns[0].spec_json.is_empty(), "nothing was changed");
    let sent: serde_json::Value = serde_json::from_slice(&reruns[1].spec_json).expect("is JSON");
    assert_eq!((reruns[1].audit.as_str(), &sent["audit"]["id"]), ("april", &serde_json::json!("april")));
}

/// Programs read these names: a change here breaks them.
#[test]
fn json_keeps_its_field_names() {
    let worker = WorkerView { worker: "w-0".to_owned(), ..WorkerView::default() };
    let script = Script { audits: vec![march(RunState::Running)], workers: vec![worker], ..Script::default() };
    let coordinator = Running::start(script);
    let json = |arguments: &[&str]| lethe(&[&coordinator.url()], &[arguments, &["--output", "json"]].concat()).json();
    let keys = |value: &serde_json::Value| {
        // Sorted, since a test's dependency may have serde_json keep the order that they were written in.
        let mut keys: Vec<String> = value.as_object().expect("is an object").keys().cloned().collect();
        keys.sort_unstable();
        keys.join(" ")
    };
    let audit = json(&["show", "march"]);
    assert_eq!(
        keys(&audit),
        "audit awaits_approval ended_ms headline history phases priority quarantined queue_position reason rerun_of state \
         submitted_ms submitter verdict workers"
    );
    assert_eq!(
        keys(&audit["phases"][0]),
        "checked done ended_ms eta_ms in_flight_done in_flight_total kind late mismatched name outputs quarantined \
         reason retries samples_failed samples_read samples_scored speculated started_ms state total"
    );
    assert_eq!(json(&["list"])["audits"][0], audit);
    assert_eq!(
        keys(&json(&["workers"])["workers"][0]),
        "committed device failed host memory_bytes pace reason release since_ms slots state tasks wire_version worker"
    );
    assert_eq!(keys(&json(&["cluster"])), "knobs leader release store term");
}
