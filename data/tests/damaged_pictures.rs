//! Damaged pictures of every kind: each is decoded or refused with a reason, and no memory beyond the limit is taken.

use std::io::Read;
use std::sync::atomic::Ordering;

use lethe_data::{MAX_DECODE_BYTES, Target, decode};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

mod counting;
use counting::{Counting, MOST, NOW};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Beside what decoders are allowed, the file itself and what the test holds.
const SLACK: u64 = 32 << 20;

/// Of every file, as many damaged ones.
const DAMAGES: usize = 40;

fn pictures() -> Vec<(String, Vec<u8>)> {
    let mut tar = tar::Archive::new(&include_bytes!("../src/decode/pictures.tar")[..]);
    let read = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.expect("is whole");
        let (name, mut bytes) = (entry.path().expect("has a name").display().to_string(), Vec::new());
        entry.read_to_end(&mut bytes).expect("is whole");
        (name, bytes)
    };
    // The other half are the pixels.
    tar.entries().expect("is a tar").map(read).step_by(2).collect()
}

fn picture(name: &str) -> Vec<u8> {
    pictures().into_iter().find(|picture| picture.0 == name).unwrap_or_else(|| panic!("no {name}")).1
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

/// One test for all, since they share the allocator's account.
#[test]
fn damage_costs_a_picture_and_no_more_memory_than_the_limit() {
    damaged_files();
    for (name, file) in lies((100_000, 100_000)) {
        assert!(measured(name, &file) < SLACK, "{name}: memory for what the header says");
    }
    // Just below the limit on pixels.
    for (name, file) in lies((13_000, 13_000)) {
        let most = measured(name, &file);
        assert!(most <= MAX_DECODE_BYTES + SLACK, "{name}: {} MiB", most >> 20);
    }
}

fn damaged_files() {
    let mut draw = ChaCha8Rng::seed_from_u64(1);
    let (mut taken, mut refused) = (0, 0);
    for (name, file) in pictures() {
        for _ in 0..DAMAGES {
            match decode(&damaged(&file, &mut draw), Target::exact(8)) {
                Ok(pixels) => {
                    assert_eq!(pixels.len(), 8 * 8 * 3, "{name}");
                    taken += 1;
                }
                Err(error) => {
                    let reason = error.to_string();
                    assert!(reason.len() > "image: ".len() && !reason.contains("panicked"), "{name}: {reason}");
                    refused += 1;
                }
            }
        }
    }
    println!("{taken} taken, {refused} refused, {} MiB at most", MOST.load(Ordering::Relaxed) >> 20);
    assert!(refused > taken, "{taken} taken, {refused} refused");
    assert!(MOST.load(Ordering::Relaxed) <= MAX_DECODE_BYTES + SLACK);
}

/// The most memory that decoding takes.
fn measured(name: &str, file: &[u8]) -> u64 {
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let found = decode(file, Target::exact(8));
    let most = MOST.load(Ordering::Relaxed) - before;
    println!("{name}: {} MiB, {:?}", most >> 20, found.map(|pixels| pixels.len()).map_err(|error| error.to_string()));
    most
}

/// Files whose headers say another size, as far as they can.
fn lies((width, height): (u32, u32)) -> Vec<(&'static str, Vec<u8>)> {
    let mut png = picture("png-rgb");
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let mut sum = flate2::Crc::new();
    sum.update(&png[12..29]);
    png[29..33].copy_from_slice(&sum.sum().to_be_bytes());

    let (wide, high) = (width.min(65_500) as u16, height.min(65_500) as u16);
    let jpeg = |name: &str, marker: u8| {
        let mut jpeg = picture(name);
        let at = jpeg.windows(2).position(|pair| pair == [0xff, marker]).expect("has a frame");
        jpeg[at + 5..at + 7].copy_from_slice(&high.to_be_bytes());
        jpeg[at + 7..at + 9].copy_from_slice(&wide.to_be_bytes());
        jpeg
    };

    let mut gif = picture("gif-plain");
    gif[6..8].copy_from_slice(&wide.to_le_bytes());
    gif[8..10].copy_from_slice(&high.to_le_bytes());
    let mut gif_frame = gif.clone();
    let at = gif_frame.windows(5).position(|bytes| bytes == [b',', 0, 0, 0, 0]).expect("has a frame");
    gif_frame[at + 5..at + 7].copy_from_slice(&wide.to_le_bytes());
    gif_frame[at + 7..at + 9].copy_from_slice(&high.to_le_bytes());

    let (wide, high) = (width.min(16_383), height.min(16_383));
    let mut lossless = picture("webp-lossless");
    lossless[21..25].copy_from_slice(&((wide - 1) | ((high - 1) << 14)).to_le_bytes());
    let mut lossy = picture("webp-lossy");
    lossy[26..28].copy_from_slice(&(wide as u16).to_le_bytes());
    lossy[28..30].copy_from_slice(&(high as u16).to_le_bytes());

    Vec::from([
        ("png", png),
        ("baseline jpeg", jpeg("jpeg-baseline-420", 0xc0)),
        ("progressive jpeg", jpeg("jpeg-progressive-444", 0xc2)),
        ("gif", gif),
        ("gif with its frame", gif_frame),
        ("lossless webp", lossless),
        ("lossy webp", lossy),
    ])
}
