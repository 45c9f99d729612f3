//! Every format gives the same pairs, and says where its bytes stopped coming.

use std::collections::BTreeSet;
use std::sync::Arc;

use lethe_data::{BadSample, DataError, Limits, Sample, Shard, content_hash, open_shard};

mod shards;
use shards::{Memory, by_pyarrow, caption, every_format, packed, parquet, table};

type Outcome = Result<Sample, BadSample>;

fn read(name: &str, bytes: &[u8]) -> Vec<Outcome> {
    let shard = Shard::open(Arc::new(Memory::new(name, bytes)), Limits::default());
    shard.unwrap_or_else(|error| panic!("{name}: {error}")).collect()
}

#[test]
fn a_pair_has_the_same_hash_in_every_format() {
    let expected: Vec<String> = (0..12).map(|n| content_hash(format!("picture {n}").as_bytes(), &caption(n))).collect();
    for (name, bytes) in every_format(12) {
        let pairs: Vec<_> = read(name, &bytes).into_iter().map(|pair| pair.expect(name)).collect();
        let hashes: Vec<String> = pairs.iter().map(|pair| content_hash(&pair.image, &pair.caption)).collect();
        assert_eq!(hashes, expected, "{name}");
        assert_eq!(pairs.iter().map(|pair| &pair.key).collect::<BTreeSet<_>>().len(), 12, "{name}");
    }
}

#[test]
fn parquet_is_read_as_pyarrow_wrote_it() {
    let mut read_files = 0;
    for (name, bytes) in by_pyarrow().into_iter().filter(|(name, _)| name.starts_with("good")) {
        let found = read("0.parquet", &bytes);
        assert_eq!(found.len(), 12, "{name}");
        for (n, row) in found.iter().enumerate() {
            let bad = |reason: &str| row.as_ref().is_err_and(|bad| bad.reason.contains(reason) && bad.key == key(n));
            match n {
                2 => assert!(bad("no caption"), "{name}: {row:?}"),
                5 => assert!(bad("no image"), "{name}: {row:?}"),
                _ => assert_row(row, n, &name),
            }
        }
        read_files += 1;
    }
    assert_eq!(read_files, 25);
}

fn key(n: usize) -> String {
    format!("k{n:05}")
}

fn assert_row(row: &Outcome, n: usize, name: &str) {
    let row = row.as_ref().unwrap_or_else(|bad| panic!("{name}: {bad}"));
    assert_eq!((&row.key, row.caption.as_str()), (&key(n), format!("caption {n}, ünïcode").as_str()), "{name}");
    assert_eq!(row.image, format!("image {n} ").repeat(n + 1).as_bytes(), "{name}");
    assert_eq!(row.url, Some(format!("https://example.org/{n}.jpg")), "{name}");
}

#[test]
fn hugging_faces_rows_are_named_by_their_number() {
    let (_, bytes) = by_pyarrow().into_iter().find(|(name, _)| name == "rows-hugging-face").expect("is there");
    let found = read("0.parquet", &bytes);
    assert_eq!(found.len(), 12);
    let seventh = found[7].as_ref().expect("is whole");
    assert_eq!((seventh.key.as_str(), &seventh.image[..16]), ("000000007", &b"image 7 image 7 "[..]));
    assert!(found[2].is_err() && found[5].is_err());
}

#[test]
fn what_parquet_lacks_is_said() {
    for (name, expected) in [
        ("other-columns", "its columns are picture, label; expected one of jpg"),
        ("lists", "its columns are jpg.list.element, caption"),
        ("numbers", "INT64"),
    ] {
        let (_, bytes) = by_pyarrow().into_iter().find(|(found, _)| found == name).expect("is there");
        let error = Shard::open(Arc::new(Memory::new("0.parquet", &bytes)), Limits::default()).err().expect(name);
        assert!(matches!(error, DataError::Layout { .. }) && error.to_string().contains(expected), "{error}");
    }
    let (_, delta) = by_pyarrow().into_iter().find(|(found, _)| found == "delta").expect("is there");
    let found = read("0.parquet", &delta);
    // One reason for each row group.
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|row| row.as_ref().is_err_and(|bad| bad.reason.contains("delta"))), "{found:?}");
}

#[test]
fn tables_are_read_as_pandas_reads_them() {
    let csv = "\u{feff}Title, key ,filepath,url\n\
               \"one, \"\"two\"\"\nthree\",k1,a/1.jpg,https://example.org/1\n\
               \n\
               four,,./2.jpg,\r\n";
    let found = read("m.csv", csv.as_bytes());
    let (first, second) = (found[0].as_ref().expect("is a row"), found[1].as_ref().expect("is a row"));
    assert_eq!((first.key.as_str(), first.caption.as_str()), ("k1", "one, \"two\"\nthree"));
    assert_eq!(first.url.as_deref(), Some("https://example.org/1"));
    assert_eq!((second.key.as_str(), second.caption.as_str(), &second.url), ("2.jpg", "four", &None));
    // open_clip separates by tabs whatever the file is called.
    assert_eq!(read("m.csv", &table(3, '\t')), read("m.tsv", &table(3, '\t')));
    let error = Shard::open(Arc::new(Memory::new("m.csv", b"picture,label\n1,2\n")), Limits::default());
    let error = error.err().expect("has no columns of ours").to_string();
    assert!(error.contains("its columns are picture, label; expected one of image, filepath"), "{error}");
}

#[test]
fn a_manifests_pictures_come_from_its_folder_only() {
    let folder = tempfile::tempdir().expect("makes a folder");
    let inside = folder.path().join("data");
    std::fs::create_dir(&inside).expect("is ours");
    std::fs::write(folder.path().join("secret.jpg"), "secret").expect("is ours");
    std::fs::write(inside.join("1.jpg"), "one").expect("is ours");
    std::os::unix::fs::symlink("../secret.jpg", inside.join("link.jpg")).expect("is ours");
    let rows = ["1.jpg", "../secret.jpg", "link.jpg", "no.jpg", "/etc/hostname", ".", "s3://b/1.jpg"];
    let text: String = rows.iter().map(|row| format!("{row},c\n")).collect();
    std::fs::write(inside.join("m.csv"), format!("path,text\n{text}")).expect("is ours");
    let found: Vec<_> = open_shard(&inside.join("m.csv"), Limits::default()).expect("opens").collect();
    assert_eq!(&found[0].as_ref().expect("is inside").image[..], b"one");
    for (row, expected) in found[1..].iter().zip(["'..'", "link out", "not there", "absolute", "not a file", "a URL"]) {
        assert!(row.as_ref().is_err_and(|bad| bad.reason.contains(expected)), "{row:?}, expected {expected}");
    }
}

#[test]
fn bytes_that_stop_coming_are_nobodys_sample() {
    for (name, bytes) in every_format(400) {
        let shard = Shard::open(Arc::new(Memory::new(name, &bytes)), Limits::default()).expect(name);
        let ending = shard.ending();
        assert_eq!((shard.filter(Result::is_ok).count(), ending.whole()), (400, Ok(())), "{name}");
        for share in [0.01, 0.5, 0.99] {
            let breaks_at = (bytes.len() as f64 * share) as u64;
            let origin = Memory { breaks_at, ..Memory::new(name, &bytes) };
            let reason = match Shard::open(Arc::new(origin), Limits::default()) {
                Err(DataError::Broken { reason, .. }) => reason,
                Err(error) => panic!("{name}: {error}"),
                Ok(shard) => {
                    let ending = shard.ending();
                    let whole = shard.filter(Result::is_ok).count();
                    assert!(whole < 400, "{name} broke at {breaks_at}");
                    ending.whole().expect_err(name).to_string()
                }
            };
            assert_eq!(reason, "the line was cut", "{name}");
        }
    }
}

#[test]
fn a_name_tells_the_format_or_nothing_is_read() {
    let error = Shard::open(Arc::new(Memory::new("0.zip", b"")), Limits::default()).err().expect("is no shard");
    assert!(error.to_string().contains(".parquet, .csv"), "{error}");
    assert!(Shard::open(Arc::new(Memory::new("0.csv.gz", &packed(&table(2, ',')))), Limits::default()).is_ok());
    assert_eq!(read("0.parquet", &parquet(7)).len(), 7);
}
