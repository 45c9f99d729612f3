//! Damaged shards of every format: what is wrong is counted and listed, and no memory beyond the limit is taken.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use lethe_data::{DataError, Limits, Shard};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

mod shards;
use shards::{Memory, by_pyarrow, columns, every_format, json_lines, packed, parquet, table, tar};

mod counting;
use counting::{Counting, MOST, NOW};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Of every format, as many files with random damage.
const DAMAGES: usize = 60;
const PAIRS: usize = 12;

/// What a reader may hold: buffers, pieces and pages of small files, and the header of a lying one.
const LIMIT_BYTES: u64 = 64 << 20;
/// What a reader may hold of a page: its largest, twice.
const PAGES_BYTES: u64 = 600 << 20;

#[derive(Debug, Default)]
struct Told {
    good: usize,
    reasons: Vec<String>,
    most_bytes: u64,
}

impl Told {
    fn says(&self, expected: &str) -> bool {
        self.reasons.iter().any(|reason| reason.contains(expected))
    }
}

/// Reads a shard to its end, one sample at a time.
fn told(name: &str, bytes: &[u8]) -> Told {
    let origin = Arc::new(Memory::new(name, bytes));
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let mut told = Told::default();
    match Shard::open(origin, Limits::default()) {
        Ok(shard) => {
            let ending = shard.ending();
            for sample in shard {
                match sample {
                    Ok(_) => told.good += 1,
                    Err(bad) => told.reasons.push(bad.reason),
                }
            }
            assert_eq!(ending.whole(), Ok(()), "{name}: damage is no broken connection");
        }
        Err(DataError::Layout { problem, .. }) => told.reasons.push(problem),
        Err(error) => panic!("{name}: {error}"),
    }
    told.most_bytes = MOST.load(Ordering::Relaxed) - before;
    assert!(told.reasons.iter().all(|reason| !reason.is_empty() && !reason.contains("panicked")), "{name}: {told:?}");
    told
}

/// One test for all, since they share the allocator's account.
#[test]
fn damage_is_told_and_costs_no_more_memory_than_the_limit() {
    random_damage();
    let shards = tars().into_iter().chain(tables()).chain(lines());
    let named = parquets().into_iter().map(|(_, bytes, good, expected)| ("0.parquet", bytes, good, expected));
    let mut wrong = String::new();
    for (name, bytes, good, expected) in shards.chain(named) {
        let found = told(name, &bytes);
        if found.good != good || !found.says(expected) || found.most_bytes >= LIMIT_BYTES {
            wrong += &format!("{name}: {found:?}; expected {good} and {expected:?}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    bombs();
}

fn random_damage() {
    let mut draw = ChaCha8Rng::seed_from_u64(1);
    let mut files = every_format(PAIRS);
    files.extend(
        by_pyarrow().into_iter().filter(|(name, _)| name.starts_with("good")).map(|(_, bytes)| ("0.parquet", bytes)),
    );
    let (mut noticed, mut read) = (0, 0);
    for (name, file) in files {
        for _ in 0..DAMAGES {
            let found = told(name, &damaged(&file, &mut draw));
            assert!(found.good <= PAIRS + 3, "{name}: {found:?}");
            assert!(found.most_bytes < LIMIT_BYTES, "{name}: {} MiB", found.most_bytes >> 20);
            noticed += usize::from(!found.reasons.is_empty());
            read += 1;
        }
    }
    println!("{read} damaged shards, {noticed} with reasons");
    assert!(noticed * 2 > read, "{noticed} of {read}");
}

/// Cut, overwritten, emptied, doubled or shifted, in one place or several.
fn damaged(file: &[u8], draw: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for _ in 0..draw.random_range(1..=3) {
        if bytes.is_empty() {
            break;
        }
        let at = draw.random_range(0..bytes.len());
        let end = (at + draw.random_range(1..=16)).min(bytes.len());
        match draw.random_range(0..5) {
            0 => bytes.truncate(at),
            1 => bytes[at] = draw.random(),
            2 => bytes[at..end].fill(if draw.random() { 0 } else { 0xff }),
            3 => bytes.extend_from_within(at..end),
            _ => drop(bytes.drain(at..end)),
        }
    }
    bytes
}

/// A file, how many good samples it has, and a part of a reason that must be told.
type Case = (&'static str, Vec<u8>, usize, &'static str);

/// A tar with any names, also those that no honest writer makes.
fn members(members: &[(&str, &[u8])]) -> Vec<u8> {
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

fn lying(size: u64, kind: tar::EntryType) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path("1.jpg").expect("fits");
    header.set_size(size);
    header.set_entry_type(kind);
    header.set_cksum();
    [&members(&[("0.jpg", b"i"), ("0.txt", b"c")])[..1024 * 2], header.as_bytes(), &[0; 512]].concat()
}

fn tars() -> Vec<Case> {
    let pair = |name: &str, caption: &[u8]| {
        members(&[("0.jpg", b"i"), ("0.txt", b"c"), (&format!("{name}.jpg"), b"i"), (&format!("{name}.txt"), caption)])
    };
    let with = |change: fn(&mut Vec<u8>)| {
        let mut bytes = tar(PAIRS);
        change(&mut bytes);
        bytes
    };
    let plain: Vec<Case> = vec![
        ("0.tar", pair("/etc/passwd", b"c"), 1, "absolute"),
        ("0.tar", pair("../1", b"c"), 1, "'..'"),
        ("0.tar", pair("a/../../1", b"c"), 1, "'..'"),
        ("0.tar", pair("0", b"again"), 1, "counts once"),
        ("0.tar", pair("1", b"\xff"), 1, "not UTF-8"),
        ("0.tar", pair("1", &[b'x'; 70_000]), 1, "the limit is 65536"),
        ("0.tar", members(&[("0.jpg", b"i"), ("1.jpg", b"i"), ("1.txt", b"c")]), 1, "no caption"),
        ("0.tar", members(&[("0.txt", b"c"), ("1.jpg", b"i"), ("1.txt", b"c")]), 1, "no image"),
        ("0.tar", members(&[("0.jpg", b"i"), ("0.json", b"{\"caption\"")]), 0, "json member"),
        ("0.tar", members(&[("0.jpg", b"i"), ("0.json", b"{\"caption\": 7}")]), 0, "no caption"),
        ("0.tar", members(&[("0.jpg", b"i"), ("0.json", &[b'['; 100_000])]), 0, "json member"),
        ("0.tar", lying(1 << 40, tar::EntryType::Regular), 1, "1099511627776 bytes"),
        ("0.tar", lying(u64::MAX >> 1, tar::EntryType::Regular), 1, "bytes"),
        ("0.tar", lying(60 << 20, tar::EntryType::Regular), 1, "early"),
        ("0.tar", lying(1 << 40, tar::EntryType::GNULongName), 1, "extension header"),
        ("0.tar", lying(1 << 40, tar::EntryType::XHeader), 1, "extension header"),
        ("0.tar", with(|bytes| bytes.truncate(5000)), 2, "early"),
        ("0.tar", with(|bytes| bytes.truncate(4 * 1024 + 100)), 2, "inside a header"),
        ("0.tar", with(|bytes| bytes[2 * 1024] ^= 1), 1, "checksum"),
        ("0.tar", with(|bytes| bytes[4 * 1024 + 124..4 * 1024 + 136].fill(b'9')), 2, "cannot be read"),
        ("0.tar", b"<html>not found</html>".repeat(100), 0, "is it a tar?"),
        ("0.tar", vec![0xff; 3000], 0, "is it a tar?"),
    ];
    let mut cases: Vec<Case> =
        plain.iter().map(|(_, bytes, good, what)| ("0.tar.gz", packed(bytes), *good, *what)).collect();
    cases.extend(plain);
    let whole = packed(&tar(PAIRS));
    cases.push(("0.tar.gz", whole[..whole.len() / 2].to_vec(), cut_pairs(&whole), "cannot be read"));
    cases.push(("0.tar.gz", tar(PAIRS), 0, "cannot be read"));
    cases.push(("0.tar.gz", b"\x1f\x8b\x08".to_vec(), 0, "cannot be read"));
    let bomb = [
        members(&[("0.jpg", b"i"), ("0.txt", b"c")])[..2048].to_vec(),
        lying(1 << 33, tar::EntryType::Regular)[2048..2560].to_vec(),
        vec![0; 300 << 20],
    ]
    .concat();
    cases.push(("0.tar.gz", packed(&bomb), 1, "decompression bomb"));
    cases
}

/// How many pairs half of a packed tar holds: as many as unpack.
fn cut_pairs(whole: &[u8]) -> usize {
    use std::io::Read;
    let mut half = Vec::new();
    drop(flate2::read::MultiGzDecoder::new(&whole[..whole.len() / 2]).read_to_end(&mut half));
    (0..PAIRS).filter(|n| half.len() >= n * 2048 + 1536 + shards::caption(*n).len()).count()
}

fn tables() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, separator) in [("0.csv", ','), ("0.tsv", '\t')] {
        let rows = |rows: &str| {
            format!("filepath,title\n{rows}1.jpg,whole\n").replace(',', &separator.to_string()).into_bytes()
        };
        let long = "x".repeat(70_000);
        let longer = "x".repeat(2 << 20);
        let path = "p/".repeat(3000);
        let header = |header: &str| header.replace(',', &separator.to_string()).into_bytes();
        let texts: Vec<(Vec<u8>, usize, &'static str)> = vec![
            (rows("/etc/passwd,c\n"), 1, "absolute"),
            (rows("../2.jpg,c\n"), 1, "'..'"),
            (rows("a/../../2.jpg,c\n"), 1, "'..'"),
            (rows("a\\..\\2.jpg,c\n"), 1, "'..'"),
            (rows(",c\n"), 1, "names no image"),
            (rows("2.jpg\n"), 1, "1 columns; the header has 2"),
            (rows("2.jpg,c,d\n"), 1, "3 columns; the header has 2"),
            (rows("1.jpg,the first\n"), 1, "counts once"),
            (rows(&format!("2.jpg,{long}\n")), 1, "the limit is 65536"),
            (rows(&format!("2.jpg,{longer}\n")), 1, "more than 1048576 bytes"),
            (rows(&format!("{longer}{longer}\n")), 1, "more than 1048576 bytes"),
            (rows(&format!("{path},c\n")), 1, "location has 6000 bytes"),
            (rows(&format!("2.jpg{}\n", ",".repeat(5000))), 1, "more than 1024 columns"),
            (rows("2.jpg,\"open\n"), 0, "cannot be read"),
            (rows(&format!("2.jpg,\"open\n{longer}")), 0, "a quote left open"),
            (rows("a\0b.jpg,c\n"), 1, "location"),
            ([&rows("")[..], b"2.jpg\xff", separator.to_string().as_bytes(), b"c\n"].concat(), 1, "not UTF-8"),
            ([&rows("")[..], b"2.jpg", separator.to_string().as_bytes(), b"\xc3\x28\n"].concat(), 1, "not UTF-8"),
            (Vec::new(), 0, "expected a header"),
            (header("picture,label\n1,2\n"), 0, "its columns are picture, label"),
            (header("filepath\n1.jpg\n"), 0, "its columns are filepath"),
            (longer.clone().into_bytes(), 0, "its header"),
            (vec![0xff; 3000], 0, "its columns are"),
            (
                header(&format!("key,filepath,title\n../k,1.jpg,c\n{},2.jpg,c\nk,3.jpg,c\n", "k".repeat(5000))),
                1,
                "'..'",
            ),
        ];
        cases.extend(texts.into_iter().map(|(bytes, good, what)| (name, bytes, good, what)));
    }
    // An open quote takes the rest with it, which is one row of a caption that ends nowhere.
    cases.retain(|(_, _, _, what)| *what != "cannot be read");
    let packed_table = packed(&table(PAIRS, ','));
    cases.push(("0.csv.gz", packed_table[..packed_table.len() - 4].to_vec(), PAIRS, "cannot be read"));
    cases.push(("0.csv.gz", table(PAIRS, ','), 0, "gzip"));
    cases
}

fn lines() -> Vec<Case> {
    let rows = |row: &str| format!("{row}\n{{\"image\": \"1.jpg\", \"caption\": \"whole\"}}\n").into_bytes();
    let pair = |image: &str, caption: &str| rows(&serde_json::json!({"image": image, "caption": caption}).to_string());
    let mut cases: Vec<Case> = vec![
        ("0.jsonl", rows("{"), 1, "not as expected"),
        ("0.jsonl", rows("not json"), 1, "no JSON object"),
        ("0.jsonl", rows("[\"2.jpg\", null, null, null, \"c\", null, null, null]"), 1, "no JSON object"),
        ("0.jsonl", rows("null"), 1, "no JSON object"),
        ("0.jsonl", rows("{}"), 1, "names no image"),
        ("0.jsonl", rows("{\"image\": \"2.jpg\"}"), 1, "no caption"),
        ("0.jsonl", rows("{\"caption\": \"c\"}"), 1, "names no image"),
        ("0.jsonl", rows("{\"image\": 7, \"caption\": \"c\"}"), 1, "expected a string"),
        ("0.jsonl", rows("{\"image\": \"2.jpg\", \"caption\": [\"c\"]}"), 1, "expected a string"),
        ("0.jsonl", rows("{\"image\": \"2.jpg\", \"image\": \"3.jpg\", \"caption\": \"c\"}"), 1, "duplicate field"),
        ("0.jsonl", rows("{\"image\": \"2.jpg\", \"caption\": \"\\ud800\"}"), 1, "not as expected"),
        ("0.jsonl", rows("{\"image\": \"2.jpg\", \"caption\": \"c\"} {}"), 1, "trailing"),
        ("0.jsonl", pair("/etc/passwd", "c"), 1, "absolute"),
        ("0.jsonl", pair("../2.jpg", "c"), 1, "'..'"),
        ("0.jsonl", pair("a/../../2.jpg", "c"), 1, "'..'"),
        ("0.jsonl", pair("", "c"), 1, "location"),
        ("0.jsonl", pair("a\u{0}b", "c"), 1, "location"),
        ("0.jsonl", pair("1.jpg", "the first"), 1, "counts once"),
        ("0.jsonl", pair("2.jpg", &"x".repeat(70_000)), 1, "the limit is 65536"),
        ("0.jsonl", rows(&"x".repeat(3 << 20)), 1, "the limit is 1048576"),
        ("0.jsonl", rows(&format!("{{\"a\": {}", "[".repeat(500_000))), 1, "not as expected"),
        ("0.jsonl", [b"{\"image\": \"\xff\", \"caption\": \"c\"}\n".to_vec(), rows("")].concat(), 1, "not as expected"),
        ("0.jsonl", vec![0xff; 3 << 20], 0, "the limit is 1048576"),
    ];
    let whole = packed(&json_lines(PAIRS));
    cases.push(("0.jsonl.gz", whole[..whole.len() - 4].to_vec(), PAIRS, "cannot be read"));
    cases.push(("0.jsonl.gz", packed(&vec![b'x'; 300 << 20]), 0, "decompression bomb"));
    cases
}

fn parquets() -> Vec<(&'static str, Vec<u8>, usize, &'static str)> {
    let with = |change: fn(&mut Vec<u8>)| {
        let mut bytes = parquet(PAIRS);
        change(&mut bytes);
        bytes
    };
    let first_page = |header: &[u8]| {
        let (_, mut bytes) = by_pyarrow().into_iter().find(|(name, _)| name == "good-none-v1-plain").expect("is there");
        bytes[4..4 + header.len()].copy_from_slice(header);
        bytes
    };
    // kind, unpacked size, packed size (zigzag varints after the field and type), then what follows.
    let header = |kind: u64, unpacked: u64, packed: u64, rest: &[u8]| {
        [&[0x15][..], &zigzag(kind), &[0x15], &zigzag(unpacked), &[0x15], &zigzag(packed), rest].concat()
    };
    let data = |values: u64| [&[0x2c, 0x15][..], &zigzag(values), &[0x15, 0, 0x15, 6, 0x15, 6, 0, 0]].concat();
    let dictionary = |values: u64| [&[0x4c, 0x15][..], &zigzag(values), &[0x15, 0, 0, 0]].concat();
    // The fixture's first group of five rows is lost, and of the other seven one has no image.
    let others = 6;
    let mut cases = vec![
        ("empty", Vec::new(), 0, "is it a Parquet file?"),
        ("no footer", with(|bytes| bytes.truncate(bytes.len() - 1)), 0, "does not end as a Parquet file"),
        ("half", with(|bytes| bytes.truncate(bytes.len() / 2)), 0, "does not end as a Parquet file"),
        ("a page", b"<html>not found</html>".to_vec(), 0, "does not end as a Parquet file"),
        ("encrypted", with(|bytes| *bytes.last_mut().expect("has one") = b'E'), 0, "encrypted"),
        ("a long footer", with(|bytes| footer_length(bytes, u32::MAX)), 0, "its footer says"),
        ("a footer longer than the file", with(|bytes| footer_length(bytes, 1 << 21)), 0, "its footer says"),
        ("a short footer", with(|bytes| footer_length(bytes, 3)), 0, "its footer"),
        ("no length", with(|bytes| footer_length(bytes, 0)), 0, "its footer"),
        (
            "a footer of zeros",
            with(|bytes| {
                let end = bytes.len() - 8;
                let length = u32::from_le_bytes(bytes[end..end + 4].try_into().expect("has four")) as usize;
                bytes[end - length..end - length + 100].fill(0);
            }),
            0,
            "its footer",
        ),
        ("a page of 2 GiB", first_page(&header(0, 5, 0x7fff_ffff, &data(5))), others, "the limit is 268435456"),
        (
            "a page that unpacks to 2 GiB",
            first_page(&header(0, 0x7fff_ffff, 90, &data(5))),
            others,
            "the limit is 268435456",
        ),
        ("a page beyond its column", first_page(&header(0, 50_000, 50_000, &data(5))), others, "its column has"),
        ("a page of another size", first_page(&header(0, 91, 90, &data(5))), others, "its header says 91"),
        ("a page of fewer than no bytes", first_page(&[0x15, 0, 0x15, 1, 0x15, 1, 0]), others, "page header"),
        ("a page without a kind", first_page(&[0x25, 0, 0]), others, "field 1"),
        ("a page of kind 9", first_page(&header(9, 1, 1, &[0])), others, "kind 9"),
        ("a header that does not end", first_page(&[0x18, 0xff, 0xff, 0xff, 0x7f]), others, "does not end"),
        ("a number that does not end", first_page(&[&[0x15][..], &[0xff; 12]].concat()), others, "does not end"),
        ("a nested header", first_page(&[0x1c; 40]), others, "too deeply"),
        ("nested lists", first_page(&[0x19; 40]), others, "too deeply"),
        (
            "a list of 2^60",
            first_page(&[0x19, 0xf3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]),
            others,
            "does not end",
        ),
        (
            "a dictionary of 2^31 values",
            first_page(&header(2, 90, 90, &dictionary(0x7fff_ffff))),
            others,
            "a dictionary of",
        ),
        ("an empty dictionary", first_page(&header(2, 90, 90, &dictionary(0))), others, "cannot be read"),
    ];
    for (what, column, expected) in [("an escaping key", "../k", "'..'"), ("a long key", "long", "the limit is 4096")] {
        let key = if column == "long" { "k".repeat(5000) } else { column.to_owned() };
        cases.push((what, keyed(&["a", &key]), 1, expected));
    }
    cases.push(("a key twice", keyed(&["a", "a"]), 1, "counts once"));
    cases.push(("a key that is no text", keyed_bytes(&[b"a", b"\xff"]), 1, "key is not UTF-8"));
    cases
}

fn keyed(keys: &[&str]) -> Vec<u8> {
    keyed_bytes(&keys.iter().map(|key| key.as_bytes()).collect::<Vec<_>>())
}

fn keyed_bytes(keys: &[&[u8]]) -> Vec<u8> {
    let binary =
        |values: &[&[u8]]| Arc::new(arrow_array::BinaryArray::from_iter_values(values)) as arrow_array::ArrayRef;
    let same = vec![&b"x"[..]; keys.len()];
    columns(&[("key", binary(keys)), ("jpg", binary(&same)), ("caption", binary(&same))], 5)
}

fn zigzag(number: u64) -> Vec<u8> {
    let (mut left, mut bytes) = (number << 1, Vec::new());
    while left >= 0x80 {
        bytes.push(left as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
    bytes
}

fn footer_length(bytes: &mut [u8], length: u32) {
    let at = bytes.len() - 8;
    bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
}

/// Small files that hold a lot, as far as honest writers can make them.
fn bombs() {
    let zeros = vec![0_u8; 200 << 20];
    let image = Arc::new(arrow_array::BinaryArray::from_iter_values([&zeros[..], b"small"]));
    let captions = Arc::new(arrow_array::StringArray::from_iter_values(["a", "b"]));
    let file = columns(&[("jpg", image), ("caption", captions)], 5);
    drop(zeros);
    assert!(file.len() < 1 << 20, "{} bytes", file.len());
    let found = told("0.parquet", &file);
    assert!(found.good == 1 && found.says("209715200 bytes; the limit is 67108864"), "{found:?}");
    assert!(found.most_bytes < PAGES_BYTES, "{} MiB", found.most_bytes >> 20);

    let many_times = |picture: &[u8], rows: usize| {
        let image = arrow_array::DictionaryArray::<arrow_array::types::Int32Type>::new(
            arrow_array::Int32Array::from(vec![0; rows]),
            Arc::new(arrow_array::BinaryArray::from_iter_values([picture])),
        );
        let captions = arrow_array::StringArray::from_iter_values(std::iter::repeat_n("the same", rows));
        columns(&[("jpg", Arc::new(image)), ("caption", Arc::new(captions))], rows)
    };
    let rows = 1_000;
    let found = told("0.parquet", &many_times(&vec![7_u8; 512 << 10], rows));
    assert_eq!(found.good, rows);
    assert!(found.most_bytes < LIMIT_BYTES, "{} MiB", found.most_bytes >> 20);

    let file = many_times(b"small", 100_000);
    assert!(file.len() < 10_000, "{} bytes", file.len());
    let found = told("0.parquet", &file);
    assert!(found.good == 0 && found.says("its footer counts 100000 rows in"), "{found:?}");
}
