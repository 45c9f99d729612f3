//! An audit over s3://, throttled and cut, ends as the same audit over files; and no secret is in anything that it leaves.

use std::path::Path;

use lethe_servers::{S3Faults, S3Options, S3Server};

use crate::audit::{Audit, Ended};
use crate::drill::{Drill, Size, set};
use crate::results::Results;

const SIZE: Size = Size { shards: 3, pairs_per_shard: 150 };
const BUCKET: &str = "drill";
const KEY: &str = "LETHETESTKEY";
const SECRET: &str = "a-secret/that+nothing-may-show";
const BAD_INPUT: i32 = 2;

#[test]
fn an_audit_over_a_store_equals_the_one_over_files() {
    let drill = Drill::plant(SIZE);
    let spec = drill.spec(short);
    let Ended { status, said } = Audit::run(&drill, &spec, "files");
    assert_eq!(status.code(), Some(0), "{said}");

    let server = serve(&drill);
    server.set_faults(S3Faults { throttle_one_in: Some(4), cut_after_bytes: Some(40_000), ..S3Faults::default() });
    let spec = drill.spec(|spec| over(&server, spec));
    let Ended { status, said } = Audit::run(&drill, &spec, "store");
    assert_eq!(status.code(), Some(0), "{said}");
    let counts = server.counts();
    assert!(counts.throttled > 5 && counts.cut > 5 && counts.lists > 0 && counts.denied == 0, "{counts:?}");
    let (files, store) = (Results::of(drill.path("files")), Results::of(drill.path("store")));
    assert!(files.report().samples.scored == 450 && store.report().bad.count == 0, "{said}");
    store.assert_equal(&files, "over a store");
    assert!(!said.contains(SECRET), "{said}");
    assert_nowhere(&drill.path("store"));

    without_credentials(&drill, &spec);
}

fn short(spec: &mut toml::Table) {
    spec["unlearn"]["gang"]["steps"] = 6.into();
}

/// The same shards, by a glob.
fn over(server: &S3Server, spec: &mut toml::Table) {
    short(spec);
    set(spec, "data", "shards", vec![format!("s3://{BUCKET}/shards/*.tar")]);
    let mut store = toml::Table::new();
    for (field, value) in [
        ("endpoint", server.endpoint().as_str()),
        ("access_key_env", "LETHE_TEST_ID"),
        ("secret_key_env", "LETHE_TEST_SECRET"),
    ] {
        store.insert(field.to_owned(), value.into());
    }
    let stores = toml::Table::from_iter([(format!("s3://{BUCKET}"), store.into())]);
    set(spec, "data", "stores", stores);
}

fn serve(drill: &Drill) -> S3Server {
    let credentials = Some((KEY.to_owned(), SECRET.to_owned()));
    let server = S3Server::start(S3Options { bucket: BUCKET.to_owned(), credentials }).expect("listens");
    for shard in 0..SIZE.shards {
        let name = format!("{shard}.tar");
        server.put(&format!("shards/{name}"), std::fs::read(drill.path(&name)).expect("is planted"));
    }
    // SAFETY: one thread of this test's process uses the environment.
    unsafe {
        std::env::set_var("LETHE_TEST_ID", KEY);
        std::env::set_var("LETHE_TEST_SECRET", SECRET);
    }
    server
}

/// No file of a result, its logs and stores included, holds the secret.
fn assert_nowhere(folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("lists") {
        let path = entry.expect("lists").path();
        if path.is_dir() {
            assert_nowhere(&path);
        } else if path.is_file() {
            let bytes = std::fs::read(&path).expect("reads");
            let found = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
            assert!(!found, "{} holds the secret", path.display());
        }
    }
}

fn without_credentials(drill: &Drill, spec: &Path) {
    // SAFETY: as above.
    unsafe { std::env::remove_var("LETHE_TEST_SECRET") };
    let Ended { status, said } = Audit::run(drill, spec, "refused");
    assert_eq!(status.code(), Some(BAD_INPUT), "{said}");
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error:")).collect();
    assert!(
        errors.len() == 1 && errors[0].contains("secret_key_env names $LETHE_TEST_SECRET, which is not set"),
        "{said}"
    );
}
