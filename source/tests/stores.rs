//! Objects are read as files are, whatever the store does: it throttles, cuts connections, changes, or says no.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use lethe_common::fault::FaultKind;
use lethe_common::pin::Pin;
use lethe_common::spec::DataSection;
use lethe_data::{BadSample, Limits, Origin, Sample, Shard, ShardWriter};
use lethe_servers::{S3Faults, S3Options, S3Server};
use lethe_source::{Pinned, Source, SourceError};

const BUCKET: &str = "pairs";
const KEY: &str = "lethe-test-key";
const SECRET: &str = "lethe-test-secret-that-nobody-may-see";

/// Tests of one binary share an environment: each names variables of its own.
fn set(name: &str, value: &str) {
    // SAFETY: nothing else in these tests reads or writes the environment by other means than std's.
    unsafe { std::env::set_var(name, value) };
}

fn server() -> S3Server {
    let credentials = Some((KEY.to_owned(), SECRET.to_owned()));
    S3Server::start(S3Options { bucket: BUCKET.to_owned(), credentials }).expect("listens")
}

fn section(stores: &str) -> DataSection {
    toml::from_str(&format!("shards = [\"s3://{BUCKET}/*\"]\n{stores}")).expect("is a section")
}

fn source(server: &S3Server) -> Source {
    set("LETHE_TEST_ID", KEY);
    set("LETHE_TEST_SECRET", SECRET);
    let keys = "access_key_env = \"LETHE_TEST_ID\"\nsecret_key_env = \"LETHE_TEST_SECRET\"";
    let data = section(&format!("[stores.\"s3://{BUCKET}\"]\nendpoint = \"{}\"\n{keys}", server.endpoint()));
    Source::of(&data).expect("finds its credentials")
}

fn url(key: &str) -> String {
    format!("s3://{BUCKET}/{key}")
}

fn open(source: &Source, path: &str) -> Arc<dyn Origin> {
    let pinned = source.pin(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    source.open(path, &pinned).expect("opens")
}

fn samples(source: &Source, path: &str) -> Vec<Result<Sample, BadSample>> {
    let shard = Shard::open(open(source, path), Limits::default()).expect("is a shard");
    let ending = shard.ending();
    let read = shard.collect();
    ending.whole().expect("is read whole");
    read
}

/// Pictures that do not compress, of 30 KB each.
fn picture(n: u64) -> Vec<u8> {
    let mut state = n + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..30_000).map(|_| next()).collect()
}

fn tar(pairs: u64) -> Vec<u8> {
    let mut writer = ShardWriter::new(Vec::new());
    for n in 0..pairs {
        writer.append(&format!("{n:04}"), &picture(n), "jpg", &format!("caption {n}")).expect("writes");
    }
    writer.finish().expect("ends")
}

#[test]
fn throttled_and_cut_connections_give_the_same_samples() {
    let folder = tempfile::tempdir().expect("makes a folder");
    let (server, shard) = (server(), tar(40));
    std::fs::write(folder.path().join("0.tar"), &shard).expect("is ours");
    let parquet = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rows.parquet")).expect("is here");
    std::fs::write(folder.path().join("0.parquet"), &parquet).expect("is ours");
    server.put("a/0.tar", shard);
    server.put("a/0.parquet", parquet);
    let source = source(&server);
    for name in ["0.tar", "0.parquet"] {
        let here = samples(&source, &folder.path().join(name).display().to_string());
        assert!(here.iter().filter(|sample| sample.is_ok()).count() > 9, "{here:?}");
        server.set_faults(S3Faults { throttle_one_in: Some(3), cut_after_bytes: Some(100_000), ..S3Faults::default() });
        let before = server.counts();
        assert!(samples(&source, &url(&format!("a/{name}"))) == here, "{name} reads otherwise");
        let counts = server.counts();
        assert!(counts.throttled > before.throttled && counts.denied == 0, "{counts:?}");
        assert!(name != "0.tar" || counts.cut > 5, "{counts:?}");
        server.set_faults(S3Faults::default());
    }
}

#[test]
fn a_store_that_throttles_for_good_is_told_once_it_was_asked_enough() {
    let server = server();
    server.put("0.tar", tar(1));
    let source = source(&server);
    let pinned = source.pin(&url("0.tar")).expect("is there");
    server.set_faults(S3Faults { throttle_one_in: Some(1), ..S3Faults::default() });
    let shard =
        Shard::open(source.open(&url("0.tar"), &pinned).expect("opens"), Limits::default()).expect("is a shard");
    let ending = shard.ending();
    assert!(shard.filter(Result::is_ok).count() == 0);
    let broken = ending.whole().expect_err("never came").to_string();
    assert!(
        broken.contains("s3://pairs/0.tar cannot be read") && (broken.contains("503") || broken.contains("429")),
        "{broken}"
    );
    assert!(server.counts().throttled >= 8, "{:?}", server.counts());
}

#[test]
fn a_changed_object_is_at_fault_itself() {
    let server = server();
    server.put("0.tar", tar(20));
    let source = source(&server);
    let pinned = source.pin(&url("0.tar")).expect("is there");
    assert!(matches!(pinned.pin, Pin::Etag(_)));
    // It changes while it is read: half of each must never be joined.
    server.set_faults(S3Faults {
        pause: Some(Duration::from_millis(5)),
        cut_after_bytes: Some(200_000),
        ..S3Faults::default()
    });
    let mut stream = source.open(&url("0.tar"), &pinned).expect("opens").stream().expect("begins");
    stream.read_exact(&mut [0; 1000]).expect("has begun");
    server.put("0.tar", tar(21));
    let error = stream.read_to_end(&mut Vec::new()).expect_err("is another").to_string();
    assert!(error.contains("s3://pairs/0.tar changed since the audit was planned"), "{error}");
    let bytes = source.open(&url("0.tar"), &pinned).expect("opens").range(0, 10).expect_err("is another");
    assert!(bytes.to_string().contains("submit a new audit"), "{bytes}");
    server.remove("0.tar");
    let gone = source.pin(&url("0.tar")).expect_err("is gone");
    assert!(matches!(gone, SourceError::Missing { .. }) && gone.fault().kind == FaultKind::Retryable, "{gone}");
}

#[test]
fn files_are_pinned_by_their_digest() {
    let folder = tempfile::tempdir().expect("makes a folder");
    let path = folder.path().join("0.tar");
    std::fs::write(&path, tar(2)).expect("is ours");
    let source = Source::of(&section("")).expect("needs no store");
    let path = path.display().to_string();
    let pinned = source.pin(&path).expect("reads");
    assert!(matches!(pinned, Pinned { pin: Pin::Digest(_), size_bytes: 64_512.. }), "{pinned:?}");
    std::fs::write(&path, tar(3)).expect("is ours");
    let changed = source.open(&path, &pinned).err().expect("is refused");
    assert_eq!(changed.fault().kind, FaultKind::BadShard, "{changed}");
    assert!(changed.to_string().contains("0.tar changed since the audit was planned"), "{changed}");
}

#[test]
fn listings_are_paged_and_globs_and_ranges_expand() {
    let server = server();
    for n in 0..130 {
        server.put(&format!("d/{n:03}.tar"), "x");
    }
    server.put("d/deeper/0.tar", "x");
    server.put("d/readme.txt", "x");
    let source = source(&server);
    server.set_faults(S3Faults { throttle_one_in: Some(2), ..S3Faults::default() });
    let expand = |pattern: &str| source.expand(&[url(pattern)]);
    assert_eq!(expand("d/*.tar").expect("matches").len(), 130);
    assert!(server.counts().lists >= 3, "{:?}", server.counts());
    assert_eq!(expand("d/00?.tar").expect("matches").len(), 10);
    assert_eq!(expand("*/*/0.tar").expect("matches"), [url("d/deeper/0.tar")]);
    assert_eq!(expand("d/{000..009}.tar").expect("expands").len(), 10);
    for (pattern, expected) in
        [("e/*.tar", "nothing matches"), ("d/*", "ends in none of .tar"), ("d/{1", "'{' without")]
    {
        let error = expand(pattern).expect_err(pattern).to_string();
        assert!(error.contains(expected), "{error}");
    }
    let twice = source.expand(&[url("d/000.tar"), url("d/00*.tar")]).expect_err("is twice").to_string();
    assert!(twice.contains("named twice"), "{twice}");
    let elsewhere = source.expand(&["s3://other/0.tar".to_owned()]).expect_err("is no store of ours").to_string();
    assert!(elsewhere.contains("add [data.stores.\"s3://other\"]"), "{elsewhere}");
}

#[test]
fn globs_find_files_here() {
    let folder = tempfile::tempdir().expect("makes a folder");
    for name in ["a/0.tar", "a/1.tar", "b/0.tar", "b/.hidden.tar", "b/2.csv"] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("has one")).expect("is ours");
        std::fs::write(path, "").expect("is ours");
    }
    let source = Source::of(&section("")).expect("needs no store");
    let pattern = |text: &str| folder.path().join(text).display().to_string();
    let expand = |text: &str| source.expand(&[pattern(text)]).map(|found| found.len());
    for (text, expected) in [("*/*.tar", 3), ("a/?.tar", 2), ("{a,b}/0.tar", 2), ("b/*", 2)] {
        assert_eq!(expand(text).expect(text), expected, "{text}");
    }
    let missing = expand("{a,b}/1.tar").expect_err("is missing").to_string();
    assert!(missing.contains("{a,b}/1.tar") && missing.contains("b/1.tar"), "{missing}");
    assert!(expand("c/*.tar").is_err() && source.expand(&[]).is_err());
}

#[test]
fn manifests_fetch_their_pictures_in_order() {
    let server = server();
    for n in 0..30 {
        server.put(&format!("m/images/{n}.jpg"), picture(n));
    }
    let rows: String = (0..31).map(|n| format!("images/{n}.jpg,caption {n}\n")).collect();
    let others =
        "../m/images/1.jpg,c\ns3://other/1.jpg,c\nhttp://169.254.169.254/1.jpg,c\ns3://pairs/m/images/7.jpg,by url\n";
    server.put("m/all.csv", format!("image,caption\n{rows}{others}"));
    let source = source(&server);
    server.set_faults(S3Faults { throttle_one_in: Some(7), cut_after_bytes: Some(20_000), ..S3Faults::default() });
    let read = samples(&source, &url("m/all.csv"));
    assert_eq!(read.len(), 35);
    for (n, row) in read[..30].iter().enumerate() {
        let row = row.as_ref().unwrap_or_else(|bad| panic!("{bad}"));
        assert!(row.caption == format!("caption {n}") && row.image == picture(n as u64), "row {n} is another");
    }
    for (row, expected) in read[30..34].iter().zip(["is not there", "'..'", "in no store of the spec", "169.254"]) {
        assert!(row.as_ref().is_err_and(|bad| bad.reason.contains(expected)), "{row:?}, expected {expected}");
    }
    assert_eq!(read[34].as_ref().expect("is whole").url.as_deref(), Some("s3://pairs/m/images/7.jpg"));
}

#[test]
fn wrong_and_missing_credentials_are_one_line_without_a_secret() {
    let server = server();
    server.put("0.tar", tar(1));
    let of = |keys: &str| {
        Source::of(&section(&format!("[stores.\"s3://{BUCKET}\"]\nendpoint = \"{}\"\n{keys}", server.endpoint())))
    };
    let missing =
        of("access_key_env = \"LETHE_TEST_NONE\"\nsecret_key_env = \"LETHE_TEST_NONE\"").err().expect("is not set");
    assert!(
        missing.to_string().contains("data.stores.\"s3://pairs\": access_key_env names $LETHE_TEST_NONE"),
        "{missing}"
    );
    set("LETHE_TEST_ID", KEY);
    set("LETHE_TEST_WRONG", "another-secret");
    let wrong = of("access_key_env = \"LETHE_TEST_ID\"\nsecret_key_env = \"LETHE_TEST_WRONG\"").expect("is set");
    let denied = wrong.pin(&url("0.tar")).expect_err("is refused");
    let text = format!("{denied} {denied:?}");
    assert!(matches!(denied, SourceError::Denied { .. }) && server.counts().denied == 1, "{text}");
    assert!(
        text.contains("check the credentials") && !text.contains("another-secret") && !text.contains('\n'),
        "{text}"
    );
    let anonymous = of("anonymous = true").expect("needs nothing");
    assert!(matches!(anonymous.pin(&url("0.tar")), Err(SourceError::Denied { .. })));
    let folder = tempfile::tempdir().expect("makes a folder");
    let file = folder.path().join("credentials");
    std::fs::write(
        &file,
        format!("# mine\n[default]\naws_access_key_id = {KEY}\naws_secret_access_key={SECRET}\n[other]\n"),
    )
    .expect("is ours");
    let profile = of(&format!("credentials_file = \"{}\"", file.display())).expect("is read");
    assert_eq!(profile.pin(&url("0.tar")).expect("is let in").size_bytes, tar(1).len() as u64);
}

#[test]
fn https_servers_are_read_by_name_and_redirects_stay_within_the_stores() {
    let server = S3Server::start(S3Options { bucket: BUCKET.to_owned(), credentials: None }).expect("listens");
    server.put("0.tar", tar(5));
    let data = section(&format!("[stores.\"{}\"]\nanonymous = true", server.endpoint()));
    let source = Source::of(&data).expect("needs nothing");
    let url = format!("{}/{BUCKET}/0.tar", server.endpoint());
    server.set_faults(S3Faults { cut_after_bytes: Some(50_000), ..S3Faults::default() });
    assert_eq!(samples(&source, &url).len(), 5);
    let pinned = source.pin(&url).expect("is there");
    server.set_faults(S3Faults { redirect: Some("http://169.254.169.254/latest/meta-data"), ..S3Faults::default() });
    let shard = source.open(&url, &pinned).expect("opens").range(0, 10).expect_err("leads elsewhere").to_string();
    assert!(shard.contains("169.254.169.254") && shard.contains("which data.stores does not name"), "{shard}");
    assert!(source.pin(&format!("{url}?token=1")).is_err());
}

#[test]
fn google_and_azure_are_listed_and_read_as_well() {
    for (scheme, account) in [("gs", ""), ("az", "account = \"lethe\"")] {
        let server = S3Server::start(S3Options { bucket: BUCKET.to_owned(), credentials: None }).expect("listens");
        for n in 0..60 {
            server.put(&format!("d/{n:02}.tar"), tar(if n == 0 { 5 } else { 0 }));
        }
        let store = format!(
            "[stores.\"{scheme}://{BUCKET}\"]\nendpoint = \"{}\"\nanonymous = true\n{account}",
            server.endpoint()
        );
        let source = Source::of(&section(&store)).expect("needs nothing");
        let found =
            source.expand(&[format!("{scheme}://{BUCKET}/d/*.tar")]).unwrap_or_else(|e| panic!("{scheme}: {e}"));
        assert_eq!(found.len(), 60, "{scheme}");
        server.set_faults(S3Faults { throttle_one_in: Some(4), cut_after_bytes: Some(50_000), ..S3Faults::default() });
        assert_eq!(samples(&source, &found[0]).len(), 5, "{scheme}");
        let pinned = source.pin(&found[0]).expect("is there");
        server.put("d/00.tar", tar(6));
        let changed = source.open(&found[0], &pinned).expect("opens").range(0, 10).expect_err("is another").to_string();
        assert!(changed.contains("changed since"), "{scheme}: {changed}");
        assert!(server.counts().cut > 2 && server.counts().lists >= 2, "{:?}", server.counts());
    }
}
