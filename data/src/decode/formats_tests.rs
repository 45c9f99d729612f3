//! Every kind of file that shards hold, against what Pillow reads from it (tests/reference/pictures.py).

use super::*;

/// Of 255. PNG of 16 bits is rounded here and cut there.
const EXACT: u8 = 0;
const DEEP: u8 = 1;
/// Libraries differ in how they go from blocks to bytes, and in what they put between samples of the chroma.
const JPEG: u8 = 3;

/// Pillow cuts 16 bit grey at 255, which leaves white; here it is scaled as any other depth.
const OTHERWISE: &str = "png-grey-16";

fn tolerance(name: &str) -> u8 {
    match name {
        jpeg if jpeg.starts_with("jpeg-") => JPEG,
        deep if deep.contains("-16") => DEEP,
        _ => EXACT,
    }
}

/// Name, file, and Pillow's pixels.
fn pictures() -> Vec<(String, Vec<u8>, RgbImage)> {
    let mut tar = tar::Archive::new(&include_bytes!("pictures.tar")[..]);
    let mut files = tar.entries().expect("is a tar").map(|entry| {
        let mut entry = entry.expect("is whole");
        let name = entry.path().expect("has a name").display().to_string();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).expect("is whole");
        (name, bytes)
    });
    let mut pictures = Vec::new();
    while let Some((name, file)) = files.next() {
        let (_, pixels) = files.next().expect("the pixels follow");
        pictures.push((name, file, image::load_from_memory(&pixels).expect("is a PNG").into_rgb8()));
    }
    pictures
}

fn differences(found: &RgbImage, expected: &RgbImage) -> Vec<u8> {
    found.iter().zip(expected.iter()).map(|(a, b)| a.abs_diff(*b)).collect()
}

#[test]
fn pixels_are_pillows() {
    let pictures = pictures();
    assert!(pictures.len() >= 45, "{} pictures", pictures.len());
    for (name, file, expected) in pictures.iter().filter(|(name, ..)| name != OTHERWISE) {
        let found = rgb(file, Target::exact(8)).unwrap_or_else(|reason| panic!("{name}: {reason}"));
        assert_eq!(found.dimensions(), expected.dimensions(), "{name}");
        let differences = differences(&found, expected);
        let worst = differences.iter().max().copied().unwrap_or(0);
        assert!(worst <= tolerance(name), "{name}: {worst} of 255 off");
        let far = differences.iter().filter(|difference| **difference > 2).count();
        assert!(far * 200 <= differences.len(), "{name}: {far} of {} values are more than 2 off", differences.len());
    }
}

#[test]
fn grey_of_16_bits_is_scaled() {
    let pictures = pictures();
    let of = |name: &str| pictures.iter().find(|picture| picture.0 == name).expect("is there");
    let (_, _, red) = of("png-rgb-16"); // its first channel has the same samples
    let found = rgb(&of(OTHERWISE).1, Target::exact(8)).expect("decodes");
    for (found, expected) in found.pixels().zip(red.pixels()) {
        assert!(found.0.iter().all(|value| value.abs_diff(expected.0[0]) <= DEEP), "{found:?} for {expected:?}");
    }
}

#[test]
fn a_picture_that_ends_early_is_refused_as_pillow_refuses_it() {
    // Its first frame is whole, and Pillow takes it.
    for (name, file, _) in pictures().iter().filter(|(name, ..)| name != "gif-animated") {
        let sized = name.starts_with("jpeg-") || name.starts_with("webp-");
        let by_bytes: &[usize] = if sized { &[1, 2, 3, 10] } else { &[] };
        for cut in by_bytes.iter().copied().chain([file.len() / 3, file.len() / 2]) {
            let found = rgb(&file[..file.len() - cut], Target::exact(8));
            assert!(found.is_err(), "{name} without its last {cut} bytes was taken");
        }
    }
}

#[test]
fn a_thumbnails_end_is_not_the_pictures() {
    let (_, jpeg, _) = pictures().into_iter().find(|picture| picture.0 == "jpeg-baseline-444").expect("is there");
    let thumbnail = [0xff, 0xe1, 0, 6, b'x', b'x', 0xff, 0xd9];
    let whole = [&jpeg[..2], &thumbnail, &jpeg[2..]].concat();
    assert_eq!(rgb(&whole, Target::exact(8)).expect("decodes"), rgb(&jpeg, Target::exact(8)).expect("decodes"));
    assert!(rgb(&whole[..whole.len() - 2], Target::exact(8)).is_err(), "its own end is missing");
    assert!(rgb(&[&whole[..], b"what cameras append"].concat(), Target::exact(8)).is_ok());
}
