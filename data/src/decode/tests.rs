use std::io::Write;

use image::{DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat};

use super::*;

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).expect("encodes");
    bytes.into_inner()
}

/// The picture of tests/reference/pictures.py: every channel a smooth wave with some noise on it.
fn wave(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([0, 1, 2].map(|c: u32| ((x * (7 + c) + y * (13 - c) + x * y % (11 + c) * 5) % 256) as u8))
    })
}

#[test]
fn equal_sizes_are_exact() {
    let picture = wave(28, 28);
    let png = encoded(&DynamicImage::ImageRgb8(picture.clone()), ImageFormat::Png);
    assert_eq!(decode(&png, Target::exact(28)).expect("decodes"), picture.as_raw().clone());
    let webp = encoded(&DynamicImage::ImageRgb8(picture.clone()), ImageFormat::WebP);
    assert_eq!(decode(&webp, Target::exact(28)).expect("decodes"), picture.into_raw());
}

#[test]
fn every_colour_type_becomes_rgb() {
    let grey = DynamicImage::ImageLuma8(image::GrayImage::from_pixel(4, 4, image::Luma([90])));
    let grey_alpha = DynamicImage::ImageLumaA8(image::GrayAlphaImage::from_pixel(4, 4, image::LumaA([90, 0])));
    let deep = DynamicImage::ImageLuma16(image::ImageBuffer::from_pixel(4, 4, image::Luma([90 * 257])));
    let clear = DynamicImage::ImageRgba8(image::RgbaImage::from_pixel(4, 4, image::Rgba([90, 90, 90, 0])));
    for picture in [grey, grey_alpha, deep, clear] {
        let pixels = decode(&encoded(&picture, ImageFormat::Png), Target::exact(4)).expect("decodes");
        assert_eq!(pixels, vec![90; 48], "{:?}", picture.color());
    }
    let flat = DynamicImage::ImageRgb8(RgbImage::from_pixel(16, 16, image::Rgb([90, 90, 90])));
    let pixels = decode(&encoded(&flat, ImageFormat::Jpeg), Target::exact(8)).expect("decodes");
    assert!(pixels.iter().all(|value| value.abs_diff(90) <= 1));
}

/// Kernel weights are rounded to whole numbers on both sides, not in the same way.
const WORST_DIFFERENCE: u8 = 1;
const MEAN_DIFFERENCE: f64 = 0.05;

#[test]
fn resizing_agrees_with_torchvision() {
    let stored = include_str!("resize.json");
    let cases: Vec<(u32, u32, u32, Vec<u8>)> = serde_json::from_str(stored).expect("is the reference");
    let difference = |(width, height, side, expected): (u32, u32, u32, Vec<u8>)| {
        let png = encoded(&DynamicImage::ImageRgb8(wave(width, height)), ImageFormat::Png);
        let pixels = decode(&png, Target::exact(side)).expect("decodes");
        assert_eq!(pixels.len(), expected.len());
        let differences: Vec<u8> = pixels.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).collect();
        let mean = differences.iter().map(|d| f64::from(*d)).sum::<f64>() / expected.len() as f64;
        (width, height, differences.into_iter().max().unwrap_or(0), mean)
    };
    let found: Vec<_> = cases.into_iter().map(difference).collect();
    let close = found.iter().all(|(_, _, worst, mean)| *worst <= WORST_DIFFERENCE && *mean <= MEAN_DIFFERENCE);
    assert!(close, "width, height, worst and mean difference: {found:?}");
}

#[test]
fn long_strips_cost_no_more_than_their_crop() {
    let strip = DynamicImage::ImageLuma8(image::GrayImage::from_pixel(20_000, 1, image::Luma([7])));
    assert_eq!(decode(&encoded(&strip, ImageFormat::Png), Target::exact(32)).expect("decodes"), vec![7; 32 * 32 * 3]);
}

#[test]
fn what_is_not_a_picture_has_a_reason() {
    let mut cut = encoded(&DynamicImage::ImageRgb8(wave(64, 64)), ImageFormat::Png);
    cut.truncate(cut.len() / 2);
    for (bytes, reason) in [
        (&b""[..], "0 bytes that are not"),
        (b"GIF89a....", "image: "),
        (b"%PDF-1", "6 bytes that are not jpeg, png, webp or gif"),
        (b"\xff\xd8\xff\xe0 broken", "image: "),
        (&cut, "image: "),
    ] {
        let error = decode(bytes, Target::exact(8)).expect_err(reason).to_string();
        assert!(error.contains(reason), "{error} for {reason}");
    }
}

#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    let mut png = Vec::new();
    image::codecs::png::PngEncoder::new(&mut png).write_image(&[0; 3], 1, 1, ExtendedColorType::Rgb8).expect("encodes");
    // The header's width and height, then its checksum.
    png[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    let mut crc = flate2::Crc::new();
    crc.update(&png[12..29]);
    (&mut png[29..33]).write_all(&crc.sum().to_be_bytes()).expect("fits");
    let error = decode(&png, Target::exact(8)).expect_err("is a bomb").to_string();
    assert!(error.contains("65536 x 65536") || error.contains("limit"), "{error}");
}
