use std::fs::File;
use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::{DataError, open_shard};

const LIMITS: Limits = Limits { image_bytes: 100, caption_bytes: 20, json_bytes: 80 };

/// A tar with any names, also those that no honest writer makes.
fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, body) in members {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(body.len() as u64);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        tar.append(&header, *body).expect("writes");
    }
    tar.into_inner().expect("ends")
}

fn read(bytes: &[u8]) -> Vec<Result<Sample, BadSample>> {
    TarReader::new(bytes, LIMITS).collect()
}

fn good(key: &str, image: &'static [u8], caption: &str) -> Result<Sample, BadSample> {
    Ok(Sample { key: key.into(), image: Bytes::from_static(image), caption: caption.into(), url: None })
}

#[test]
fn members_are_grouped_as_webdataset_groups_them() {
    let shard = tar(&[
        ("a/0.jpg", b"i0"),
        ("a/0.cls", b"7"),
        ("a/0.txt", b"c0"),
        ("b/0.TXT", b"c1"),
        ("b/0.PNG", b"i1"),
        ("1.left.jpg", b"other view"),
        ("1.webp", b"i2"),
        ("1.json", br#"{"text":"c2","url":"https://example.org/2"}"#),
        ("._1.jpg", b"resource fork"),
        ("__in.dex__", b"skipped"),
        ("1.jpeg", b"a second image counts for nothing"),
        ("2.json", br#"{"text":"no","caption":"c3"}"#),
        ("2.jpeg", b"i3"),
        ("2.jpeg", b"i4"),
        ("2.txt", b"c4"),
    ]);
    let mut expected = vec![good("a/0", b"i0", "c0"), good("b/0", b"i1", "c1"), good("1", b"i2", "c2")];
    expected.extend([good("2", b"i3", "c3"), good("2", b"i4", "c4")]);
    if let Some(Ok(sample)) = expected.get_mut(2) {
        sample.url = Some("https://example.org/2".into());
    }
    assert_eq!(read(&shard), expected);
}

#[test]
fn a_bad_member_costs_its_sample_only() {
    for (members, reason) in [
        (vec![("x.jpg", &b"i"[..])], "no caption"),
        (vec![("x.txt", b"c")], "no image"),
        (vec![("x.jpg", b"i"), ("x.txt", b"\xff\xfe")], "not UTF-8"),
        (vec![("x.jpg", b"i"), ("x.json", b"{")], "json"),
        (vec![("x.jpg", b"i"), ("x.json", b"{\"caption\": 3}")], "no caption"),
        (vec![("x.jpg", &[0; 101]), ("x.txt", b"c")], "101 bytes; the limit is 100"),
        (vec![("x.jpg", b"i"), ("x.txt", b"a caption of more than twenty bytes")], "the limit is 20"),
        (
            vec![("x.jpg", b"i"), ("x.json", b"{\"caption\":\"a caption of more than twenty bytes\"}")],
            "the limit is 20",
        ),
        (vec![("/x.jpg", b"i"), ("/x.txt", b"c")], "absolute"),
        (vec![("../x.jpg", b"i"), ("../x.txt", b"c")], "'..'"),
    ] {
        let mut all = vec![("0.jpg", &b"i0"[..]), ("0.txt", b"c0")];
        all.extend(&members);
        all.extend([("z.jpg", &b"i9"[..]), ("z.txt", b"c9")]);
        let samples = read(&tar(&all));
        assert_eq!(samples.len(), 3, "{reason}: {samples:?}");
        assert_eq!((&samples[0], &samples[2]), (&good("0", b"i0", "c0"), &good("z", b"i9", "c9")), "{reason}");
        let bad = samples[1].as_ref().expect_err(reason);
        assert!(bad.reason.contains(reason), "{bad} for {reason}");
    }
}

fn three() -> Vec<u8> {
    tar(&[("0.jpg", b"i0"), ("0.txt", b"c0"), ("1.jpg", b"i1"), ("1.txt", b"c1"), ("2.jpg", b"i2"), ("2.txt", b"c2")])
}

#[test]
fn a_truncated_tar_gives_what_was_whole_and_one_reason() {
    let shard = three();
    // Where member n begins: a header and a block of body each.
    for (length, whole) in [(2 * 1024 + 300, 1), (2 * 1024 + 513, 1), (3 * 1024 + 513, 1), (4 * 1024 + 300, 2)] {
        let samples = read(&shard[..length]);
        assert_eq!(samples.len(), whole + 1, "cut at {length}: {samples:?}");
        assert!(samples[..whole].iter().all(Result::is_ok));
        let bad = samples[whole].as_ref().expect_err("is cut");
        assert!(bad.reason.contains("the tar ends"), "{bad}");
    }
    assert_eq!(read(&shard[..4 * 1024]).len(), 2, "an end at a member's end looks like the end");
    assert!(read(&[]).is_empty());
}

#[test]
fn garbage_is_one_reason() {
    let samples = read(&[b'x'; 4096]);
    assert_eq!(samples.len(), 1);
    assert!(samples[0].as_ref().expect_err("is garbage").reason.contains("is it a tar?"));
    let mut shard = three();
    shard[2 * 1024] ^= 1;
    let samples = read(&shard);
    assert_eq!(samples.len(), 2, "{samples:?}");
    assert!(samples[0].is_ok() && samples[1].as_ref().is_err_and(|bad| bad.reason.contains("checksum")));
}

#[test]
fn huge_sizes_and_names_are_not_allocated() {
    let mut header = tar::Header::new_gnu();
    header.set_path("0.jpg").expect("fits");
    header.set_size(1 << 60);
    header.set_cksum();
    let samples = read(header.as_bytes());
    assert!(
        samples[0].as_ref().is_err_and(|bad| bad.reason.contains("cannot be read") || bad.reason.contains("limit"))
    );
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_cksum();
    let samples = read(header.as_bytes());
    assert!(samples[0].as_ref().is_err_and(|bad| bad.reason.contains("extension header")), "{samples:?}");
}

#[test]
fn a_packed_shard_is_unpacked() {
    let folder = tempfile::tempdir().expect("makes a folder");
    let path = folder.path().join("0.tar.gz");
    let file = File::create(&path).expect("creates");
    let mut gz = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    gz.write_all(&three()).expect("writes");
    gz.finish().expect("ends");
    let samples: Vec<_> = open_shard(&path, LIMITS).expect("opens").collect();
    assert_eq!(samples.len(), 3);
    assert!(samples.iter().all(Result::is_ok));
    assert!(matches!(open_shard(&folder.path().join("no.tar"), LIMITS), Err(DataError::Open { .. })));
}

proptest! {
    #[test]
    fn damage_never_panics_and_never_invents(at in 0..three().len(), value in any::<u8>(), length in 0..three().len() + 1) {
        let mut shard = three();
        shard[at] = value;
        shard.truncate(length);
        let samples = read(&shard);
        prop_assert!(samples.len() <= 4);
    }
}
