//! Shards that were moved since the audit, and those in a store.

use lethe_common::blob::Digest;
use lethe_common::pin::Pin;
use lethe_servers::{S3Options, S3Server};

use crate::audited::{Audited, tar};

const KEY: &str = "lethe-test-key";
const SECRET: &str = "lethe-test-secret-that-nobody-may-see";

fn audited() -> Audited {
    Audited::of(&[("a/0.tar", tar(0, 30)), ("b/0.tar", tar(1, 30))], &[(1, "1-007")])
}

#[test]
fn shards_are_found_where_they_were_moved_to() {
    let audited = audited();
    std::fs::rename(audited.path("shards"), audited.path("moved")).expect("moves");
    audited.scrub(&["--out", "clean"]).error(1);
    assert_eq!(audited.scrub(&["--out", "clean", "--shards", "moved/*/*.tar"]).code, Some(0));
    assert!(audited.bytes("clean/a/0.tar") == tar(0, 30));
    assert_eq!(audited.samples("clean/b/0.tar").len(), 29);
}

#[test]
fn a_copy_of_an_object_is_known_by_its_size_and_what_it_holds() {
    let mut audited = audited();
    audited.shards()[0].pin = Pin::Etag("\"1\"".to_owned());
    audited.plan_again();
    let summary = audited.scrub(&["--out", "clean", "--output", "json"]).json();
    assert_eq!(summary["checked_by_size"], 1);
    audited.shards()[0].size_bytes += 512;
    audited.plan_again();
    let error = audited.scrub(&["--out", "again"]).error(1);
    assert!(error.contains("changed since the audit: it had"), "{error}");
}

#[test]
fn a_stores_shards_come_as_the_audit_read_them() {
    let mut audited = audited();
    let credentials = Some((KEY.to_owned(), SECRET.to_owned()));
    let server = S3Server::start(S3Options { bucket: "pairs".to_owned(), credentials }).expect("listens");
    server.put("d/a/0.tar", tar(0, 30));
    server.put("d/b/0.tar", tar(1, 30));
    let spec = format!(
        "[audit]\nid = \"march\"\n[model]\ncheckpoint = \"m\"\nconfig = \"m.json\"\n[data]\nshards = [\"s3://pairs/d/*/0.tar\"]\n\
         [data.stores.\"s3://pairs\"]\nendpoint = \"{}\"\naccess_key_env = \"SCRUB_ID\"\nsecret_key_env = \"SCRUB_SECRET\"\n",
        server.endpoint()
    );
    std::fs::write(audited.path("audit.toml"), spec).expect("writes");
    let scrub = |audited: &Audited, arguments: &[&str]| {
        let mut command = audited.command(&[arguments, &["--output", "json"]].concat());
        crate::audited::said(command.env("SCRUB_ID", KEY).env("SCRUB_SECRET", SECRET).output().expect("runs"))
    };
    // The files' digests hold for the objects as well.
    let moved = ["--out", "clean", "--spec", "audit.toml", "--shards", "s3://pairs/d/{a,b}/0.tar"];
    assert_eq!(scrub(&audited, &moved).json()["dropped"], 1);
    assert!(audited.bytes("clean/a/0.tar") == tar(0, 30));
    assert_eq!(audited.samples("clean/b/0.tar").len(), 29);
    let error = scrub(&audited, &["--out", "more", "--shards", "s3://pairs/d/{a,b}/0.tar"]).error(2);
    assert!(error.contains("--spec"), "{error}");
    let missing = scrub(&audited, &["--out", "more"]).json();
    assert_eq!(missing["dropped"], 1);

    for (shard, name) in [(0, "a"), (1, "b")] {
        audited.shards()[shard].path = format!("s3://pairs/d/{name}/0.tar");
    }
    audited.shards()[1].pin = Pin::Digest(Digest::of(b"another"));
    audited.plan_again();
    let error = scrub(&audited, &["--out", "more", "--spec", "audit.toml"]).error(1);
    assert!(error.contains("1 of 2 shards") && error.contains("b/0.tar changed since the audit"), "{error}");
    let error = scrub(&audited, &["--out", "more"]).error(2);
    assert!(error.contains("--spec"), "{error}");
    assert!(!error.contains(SECRET));
}
