//! One drawing as pixels: an SVG through resvg, an emoji's PNG as it is.
//!
//! No clock is asked: what is too large is told by its bytes and elements, so that a slow machine makes the same data set. No SVG
//! may read another file, and text is not drawn, since that would depend on the machine's fonts.

use std::panic::{AssertUnwindSafe, catch_unwind};

use image::ImageFormat;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::roxmltree::{Document, ParsingOptions};
use resvg::usvg::{ImageHrefResolver, Options, Tree};

/// Pixels of a side.
pub const SIDE: usize = 64;
/// What the drawing takes of it; the rest is a margin.
const BOX: f32 = 60.0;
const DOTS_PER_INCH: f32 = 96.0;
/// The largest file that is rendered.
pub const MAX_BYTES: u64 = 2 << 20;
/// Elements and texts of a file that is rendered.
const MAX_NODES: u32 = 50_000;

/// Reads an SVG's XML.
///
/// # Errors
/// Says why it is left out.
pub fn parse(text: &str) -> Result<Document<'_>, String> {
    let options = ParsingOptions { allow_dtd: true, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).map_err(|e| e.to_string())
}

/// `[side, side, 4]`, colours multiplied by their opacity: what is drawn, scaled into the box.
///
/// # Errors
/// Says why it is left out.
pub fn svg(document: &Document<'_>) -> Result<Vec<u8>, String> {
    // A renderer's bug must cost one drawing.
    catch_unwind(AssertUnwindSafe(|| draw(document))).unwrap_or_else(|_| Err("the renderer panicked".to_owned()))
}

fn draw(document: &Document<'_>) -> Result<Vec<u8>, String> {
    let closed = ImageHrefResolver { resolve_string: Box::new(|_, _| None), ..ImageHrefResolver::default() };
    let options = Options { dpi: DOTS_PER_INCH, image_href_resolver: closed, ..Options::default() };
    let tree = Tree::from_xmltree(document, &options).map_err(|e| e.to_string())?;
    let mut pixmap = Pixmap::new(SIDE as u32, SIDE as u32).ok_or("no picture has this side")?;
    resvg::render(&tree, fitted(&tree), &mut pixmap.as_mut());
    if pixmap.data().chunks_exact(4).all(|rgba| rgba[3] == 0) {
        return Err("nothing is drawn".to_owned());
    }
    Ok(pixmap.take())
}

/// Brings what is drawn into the middle; pages are often far larger than the drawing on them.
fn fitted(tree: &Tree) -> Transform {
    let (page, drawn) = (tree.size(), tree.root().abs_layer_bounding_box());
    let (left, top) = (drawn.x().max(0.0), drawn.y().max(0.0));
    let (right, bottom) = (drawn.right().min(page.width()), drawn.bottom().min(page.height()));
    let (left, top, width, height) = match right > left && bottom > top {
        true => (left, top, right - left, bottom - top),
        false => (0.0, 0.0, page.width(), page.height()),
    };
    let scale = BOX / width.max(height);
    let centre = SIDE as f32 / 2.0;
    Transform::from_translate(-left - width / 2.0, -top - height / 2.0)
        .post_scale(scale, scale)
        .post_translate(centre, centre)
}

/// The same of a PNG of the right side.
///
/// # Errors
/// Says why it is left out.
pub fn png(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let picture = image::load_from_memory_with_format(bytes, ImageFormat::Png).map_err(|e| e.to_string())?.to_rgba8();
    if picture.dimensions() != (SIDE as u32, SIDE as u32) {
        return Err(format!("{:?} pixels, expected {SIDE} a side", picture.dimensions()));
    }
    let multiplied = |rgba: &[u8]| {
        let by = |byte: u8| ((u32::from(byte) * u32::from(rgba[3]) + 127) / 255) as u8;
        [by(rgba[0]), by(rgba[1]), by(rgba[2]), rgba[3]]
    };
    Ok(picture.as_raw().chunks_exact(4).flat_map(multiplied).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(body: &str) -> Result<Vec<u8>, String> {
        let text = format!("<svg xmlns='http://www.w3.org/2000/svg' width='744' height='1052'>{body}</svg>");
        svg(&parse(&text)?)
    }

    #[test]
    fn a_small_drawing_on_a_large_page_fills_the_box() {
        let pixels = rendered("<rect x='600' y='100' width='20' height='10' fill='red'/>").expect("renders");
        let solid: Vec<usize> = (0..SIDE * SIDE).filter(|at| pixels[4 * at..4 * at + 4] == [255, 0, 0, 255]).collect();
        assert_eq!(solid.len(), 60 * 30);
        assert_eq!((solid[0] / SIDE, solid[0] % SIDE), (17, 2));
    }

    #[test]
    fn what_is_broken_empty_or_huge_is_refused() {
        assert!(rendered("<rect width='20'").is_err());
        assert!(rendered("").expect_err("is empty").contains("nothing is drawn"));
        assert!(rendered(&"<g/>".repeat(60_000)).expect_err("is huge").contains("limit"));
        // A file of the machine is not read.
        assert!(rendered("<image href='/etc/passwd' width='9' height='9'/>").is_err());
    }

    #[test]
    fn a_png_of_another_side_is_refused() {
        let png_of = |side: u32| {
            let mut bytes = Vec::new();
            let picture = image::RgbaImage::from_pixel(side, side, image::Rgba([200, 100, 0, 128]));
            picture.write_to(&mut std::io::Cursor::new(&mut bytes), ImageFormat::Png).expect("encodes");
            bytes
        };
        assert_eq!(png(&png_of(64)).expect("fits")[..4], [100, 50, 0, 128]);
        assert!(png(&png_of(32)).is_err() && png(b"no picture").is_err());
    }
}
