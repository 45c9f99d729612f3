//! A shard without its listed samples: every other byte of a tar, whatever it is, stays where it was.

use std::io::{self, Cursor, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use lethe_data::{Account, DataError, Limits, Listed, Location, Origin, Pending, content_hash, filter};
use tar::{EntryType, Header};

struct Held(&'static str, Bytes);

impl Origin for Held {
    fn name(&self) -> &str {
        self.0
    }

    fn size_bytes(&self) -> u64 {
        self.1.len() as u64
    }

    fn stream(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(Cursor::new(self.1.clone())))
    }

    fn range(&self, start: u64, length: usize) -> io::Result<Bytes> {
        Ok(self.1.slice(start as usize..start as usize + length))
    }

    fn picture(&self, _location: &Location, _limit_bytes: u64) -> Pending {
        unreachable!("no manifest is read")
    }
}

/// Blocks of one header and its body.
fn entry(kind: EntryType, name: &str, body: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(body.len() as u64);
    header.set_mode(0o640);
    header.set_mtime(1_234_567);
    header.set_uid(17);
    header.set_cksum();
    let mut bytes = [header.as_bytes(), body].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn file(name: &str, body: &str) -> Vec<u8> {
    entry(EntryType::Regular, name, body.as_bytes())
}

fn pax(kind: EntryType, field: &str, value: &str) -> Vec<u8> {
    // The length counts itself; two digits do here.
    let length = field.len() + value.len() + 5;
    let digits = (length + if length + 1 > 99 { 1 } else { 0 }).to_string();
    entry(kind, "pax", format!("{digits} {field}={value}\n").as_bytes())
}

fn listed(entries: &[(&str, &str)]) -> Listed {
    let hash = |name: &str| Some(content_hash(format!("image {name}").as_bytes(), &format!("caption {name}")));
    entries.iter().map(|(key, name)| ((*key).to_owned(), hash(name))).collect()
}

fn filtered(name: &'static str, bytes: &[u8], listed: &Listed) -> (Vec<u8>, Account, Vec<String>) {
    let origin: Arc<dyn Origin> = Arc::new(Held(name, Bytes::copy_from_slice(bytes)));
    let mut output = Vec::new();
    let meeting = filter(&origin, (Limits::default(), listed), &mut output).expect("filters");
    let lost = meeting.missing().into_iter().chain(meeting.differing().keys().copied());
    let (account, lost) = (meeting.account(), lost.map(str::to_owned).collect());
    (output, account, lost)
}

fn sample(key: &str, name: &str) -> Vec<u8> {
    let image = file(&format!("{key}.jpg"), &format!("image {name}"));
    let labels = file(&format!("{key}.cls"), "7");
    [image, labels, file(&format!("{key}.txt"), &format!("caption {name}"))].concat()
}

/// Each part with whether it stays.
fn parts() -> Vec<(Vec<u8>, bool)> {
    let long = format!("{}/c", "folder".repeat(30));
    vec![
        (entry(EntryType::Directory, "d/", b""), true),
        (file("__index__", "of something"), true),
        (sample("a", "a"), true),
        (pax(EntryType::XHeader, "path", &format!("{long}.jpg")), false),
        (pax(EntryType::XGlobalHeader, "comment", "for all"), true),
        (file("short.jpg", "image c"), false),
        (entry(EntryType::GNULongName, "././@LongLink", format!("{long}.txt\0").as_bytes()), false),
        (file("shorter.txt", "caption c"), false),
        (entry(EntryType::GNULongName, "././@LongLink", format!("{long}2.jpg\0").as_bytes()), true),
        (file("short2.jpg", "image e"), true),
        (pax(EntryType::XHeader, "path", &format!("{long}2.txt")), true),
        (file("short2.txt", "caption e"), true),
        (entry(EntryType::Symlink, "link", b""), true),
        (file("broken.jpg", "has no caption"), true),
        (sample("b", "b"), false),
        // Nobody scored it, since the key was taken.
        (sample("b", "again"), false),
        (sample("z", "z"), true),
        (vec![0; 1024], true),
        (b"what is after the end".to_vec(), true),
    ]
}

fn join(parts: &[(Vec<u8>, bool)], all: bool) -> Vec<u8> {
    parts.iter().filter(|(_, stays)| all || *stays).flat_map(|(bytes, _)| bytes.clone()).collect()
}

#[test]
fn all_but_the_listed_samples_is_kept_byte_for_byte() {
    let (parts, long) = (parts(), format!("{}/c", "folder".repeat(30)));
    let listed = listed(&[(&long, "c"), ("b", "b")]);
    let (output, account, lost) = filtered("0.tar", &join(&parts, true), &listed);
    assert!(lost.is_empty(), "{lost:?}");
    assert!(output == join(&parts, false), "other bytes than the kept parts");
    assert_eq!(account, Account { read: 7, kept: 3, dropped: 3, unreadable: 1 });
}

#[test]
fn without_a_listed_sample_a_tar_stays_as_it_is() {
    let whole = join(&parts(), true);
    for end in [whole.len(), whole.len() - 1_200, 5_000, 700, 512, 0] {
        let (output, account, _) = filtered("0.tar", &whole[..end], &Listed::new());
        assert!(output == whole[..end], "cut at {end}");
        assert_eq!(account.read, account.kept + account.unreadable);
    }
}

#[test]
fn a_tar_that_breaks_keeps_what_follows() {
    let tail = vec![b'x'; 2_000];
    let bytes = [sample("a", "a"), sample("b", "b"), tail.clone()].concat();
    let (output, account, lost) = filtered("0.tar", &bytes, &listed(&[("a", "a")]));
    assert!(output == [sample("b", "b"), tail].concat());
    assert_eq!((account.dropped, account.kept, account.unreadable, lost.len()), (1, 1, 1, 0));
}

#[test]
fn what_is_listed_and_not_there_is_told() {
    let bytes = [sample("a", "a"), sample("b", "b")].concat();
    let (output, _, lost) = filtered("0.tar", &bytes, &listed(&[("a", "other"), ("c", "c")]));
    assert_eq!(lost, ["c", "a"]);
    assert!(output == sample("b", "b"));
}

#[test]
fn a_packed_tar_is_packed_anew_and_the_same_each_time() {
    let whole = join(&parts(), true);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&whole).expect("packs");
    let (packed, listed) = (gzip.finish().expect("packs"), listed(&[("b", "b")]));
    let (one, account, lost) = filtered("0.tgz", &packed, &listed);
    assert_eq!((one == filtered("0.tgz", &packed, &listed).0, account.dropped, lost.len()), (true, 2, 0));
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&one[..]).read_to_end(&mut unpacked).expect("unpacks");
    assert!(unpacked == filtered("0.tar", &whole, &listed).0);
}

#[test]
fn a_failed_write_is_told_as_one() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::other("no space left"))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let origin: Arc<dyn Origin> = Arc::new(Held("0.tar", join(&parts(), true).into()));
    let listed = listed(&[("a", "a")]);
    let failed = filter(&origin, (Limits::default(), &listed), &mut Full).err().expect("cannot write");
    assert!(matches!(&failed, DataError::Write(error) if error.to_string() == "no space left"), "{failed}");
}

#[test]
fn a_manifest_is_refused() {
    let origin: Arc<dyn Origin> = Arc::new(Held("0.csv", Bytes::from_static(b"path,text\n")));
    let listed = Listed::new();
    let refused = filter(&origin, (Limits::default(), &listed), &mut Vec::new()).err().expect("is refused");
    assert!(refused.to_string().contains("keep list"), "{refused}");
}
