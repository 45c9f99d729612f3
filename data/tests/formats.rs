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

mod filtered {
    use super::*;
    use lethe_data::{Listed, Origin, filter};

    type Row = (String, Option<Vec<u8>>, Option<String>, Option<i64>);

    fn without(name: &str, bytes: &[u8], keys: &[String]) -> Vec<u8> {
        let origin: Arc<dyn Origin> = Arc::new(Memory::new("0.parquet", bytes));
        let listed: Listed = keys.iter().map(|key| (key.clone(), None)).collect();
        let mut output = Vec::new();
        let meeting = filter(&origin, (Limits::default(), &listed), &mut output);
        let meeting = meeting.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(meeting.missing().is_empty(), "{name}: {:?}", meeting.missing());
        let account = meeting.account();
        assert_eq!(account.read, account.kept + account.dropped + account.unreadable, "{name}");
        output
    }

    /// Every codec and page version that pyarrow writes, with nulls.
    #[test]
    fn rows_go_and_all_others_stay() {
        for (name, bytes) in by_pyarrow().into_iter().filter(|(name, _)| name.starts_with("good")) {
            let gone = [1, 4, 6, 7].map(key);
            let before = read("0.parquet", &bytes);
            let kept: Vec<_> = before.into_iter().enumerate().filter(|(n, _)| !gone.contains(&key(*n))).collect();
            let after = read("0.parquet", &without(&name, &bytes, &gone));
            assert_eq!(after, kept.into_iter().map(|(_, row)| row).collect::<Vec<_>>(), "{name}");
        }
    }

    #[test]
    fn schema_and_other_columns_stay() {
        let rows = |n: i64| -> Row {
            let width = (n % 4 != 0).then_some(n * 1_000);
            (key(n as usize), Some(format!("image {n}").repeat(9).into_bytes()), Some(caption(n as usize)), width)
        };
        let table: Vec<Row> = (0..40).map(rows).collect();
        let bytes = written(&table);
        let gone: Vec<String> = [3, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 39].map(key).to_vec();
        let output = without("table", &bytes, &gone);
        let expected: Vec<Row> = table.into_iter().filter(|(key, ..)| !gone.contains(key)).collect();
        assert_eq!(rows_of(&output), expected);
        let schema = |bytes: &[u8]| opened(bytes).schema().as_ref().clone();
        assert_eq!(schema(&output), schema(&bytes));
        // The group of rows 20 to 29 is gone, that of 10 to 19 is as it was.
        let groups = |bytes: &[u8]| -> Vec<i64> {
            opened(bytes).metadata().row_groups().iter().map(|group| group.compressed_size()).collect()
        };
        let (before, after) = (groups(&bytes), groups(&output));
        assert_eq!((before.len(), after.len(), before[1]), (4, 3, after[1]));
        assert!(
            rows_of(&without("table", &output, &expected.into_iter().map(|row| row.0).collect::<Vec<_>>())).is_empty()
        );
    }

    fn written(rows: &[Row]) -> Vec<u8> {
        let text = |column: Vec<Option<&str>>| Arc::new(arrow_array::StringArray::from(column));
        let images: Vec<Option<&[u8]>> = rows.iter().map(|row| row.1.as_deref()).collect();
        let widths: Vec<Option<i64>> = rows.iter().map(|row| row.3).collect();
        shards::columns(
            &[
                ("key", text(rows.iter().map(|row| Some(row.0.as_str())).collect())),
                ("jpg", Arc::new(arrow_array::BinaryArray::from(images))),
                ("caption", text(rows.iter().map(|row| row.2.as_deref()).collect())),
                ("width", Arc::new(arrow_array::Int64Array::from(widths))),
            ],
            10,
        )
    }

    fn opened(bytes: &[u8]) -> parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder<bytes::Bytes> {
        let bytes = bytes::Bytes::copy_from_slice(bytes);
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes).expect("is Parquet")
    }

    fn rows_of(bytes: &[u8]) -> Vec<Row> {
        use arrow_array::Array;
        use arrow_array::cast::AsArray;
        use arrow_array::types::Int64Type;
        let mut rows = Vec::new();
        for batch in opened(bytes).build().expect("reads") {
            let batch = batch.expect("reads");
            let text = |column: usize, at: usize| batch.column(column).as_string::<i32>().value(at).to_owned();
            let widths = batch.column(3).as_primitive::<Int64Type>();
            rows.extend((0..batch.num_rows()).map(|at| {
                let image = batch.column(1).as_binary::<i32>().value(at).to_vec();
                let width = (!widths.is_null(at)).then(|| widths.value(at));
                (text(0, at), Some(image), Some(text(2, at)), width)
            }));
        }
        rows
    }
}
