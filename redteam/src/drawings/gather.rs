//! Finds the drawings under the folder that `scripts/drawings.sh` prints, renders each once and keeps them in one file.
//!
//! A drawing that cannot be rendered must cost only itself: it is left out and counted.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lethe_common::blob::Digest;
use serde::Deserialize;

use super::{Drawing, Label, file, names, render};
use crate::error::RedteamError;

/// Raised whenever the same packages would give other drawings.
const RENDER_VERSION: u32 = 1;

/// All drawings, from the kept file where it is there.
pub fn load(folder: &Path) -> Result<Vec<Drawing>, RedteamError> {
    let kept = folder.join(format!("rendered-{RENDER_VERSION}.gz"));
    if kept.is_file() {
        return file::read(&kept);
    }
    let (drawings, left_out) = gather(folder)?;
    if drawings.is_empty() {
        return Err(RedteamError::dataset("Drawings", folder, "no drawing in it can be rendered".to_owned()));
    }
    eprintln!(
        "rendered {} drawings, once; {left_out} were left out (broken, too large, empty or seen before)",
        drawings.len()
    );
    file::write(&kept, &drawings)?;
    Ok(drawings)
}

/// Clip art by its path, then emoji in their order; and how many were left out.
pub fn gather(folder: &Path) -> Result<(Vec<Drawing>, usize), RedteamError> {
    let (mut drawings, mut seen, mut left_out) = (Vec::new(), BTreeSet::new(), 0);
    let mut take = |drawing: Result<Drawing, String>| match drawing {
        // A drawing that is there under two names could stand on both sides of the split.
        Ok(drawing) if seen.insert(Digest::of(&drawing.pixels)) => drawings.push(drawing),
        Ok(_) | Err(_) => left_out += 1,
    };
    let root = folder.join("openclipart");
    let mut paths = Vec::new();
    list(&root, "", &mut paths)?;
    paths.sort();
    paths.iter().for_each(|path| take(clip_art(&root, path)));
    let root = folder.join("emoji");
    emoji_list(&root.join("emoji.json"))?.iter().for_each(|emoji| take(emoji.drawing(&root)));
    Ok((drawings, left_out))
}

/// The SVG files below, without links, which name a file twice, and without icon themes and stars.
fn list(root: &Path, below: &str, paths: &mut Vec<String>) -> Result<(), RedteamError> {
    let folder = root.join(below);
    for entry in std::fs::read_dir(&folder).map_err(RedteamError::io(&folder))? {
        let entry = entry.map_err(RedteamError::io(&folder))?;
        let (kind, name) = (entry.file_type().map_err(RedteamError::io(&folder))?, entry.file_name());
        let path = format!("{below}{}", name.to_string_lossy());
        if kind.is_dir() && !is_theme(&path) {
            list(root, &format!("{path}/"), paths)?;
        } else if kind.is_file() && path.ends_with(".svg") && !path.starts_with("shapes/stars/star_") {
            paths.push(path);
        }
    }
    Ok(())
}

/// Icon themes show the same few things in many styles.
fn is_theme(folder: &str) -> bool {
    folder.rsplit('/').next().is_some_and(|name| name.contains("-theme"))
}

fn clip_art(root: &Path, path: &str) -> Result<Drawing, String> {
    let text = String::from_utf8(small_file(&root.join(path))?).map_err(|e| e.to_string())?;
    let document = render::parse(&text)?;
    let label = names::clip_art(path, &document).ok_or("it has no name")?;
    Ok(Drawing { label, pixels: render::svg(&document)? })
}

fn small_file(path: &Path) -> Result<Vec<u8>, String> {
    let bytes = std::fs::metadata(path).map_err(|e| e.to_string())?.len();
    if bytes > render::MAX_BYTES {
        return Err(format!("{bytes} bytes, expected {} at most", render::MAX_BYTES));
    }
    std::fs::read(path).map_err(|e| e.to_string())
}

/// What emoji.json says of one; variations of skin are not taken, which show the same thing six times.
#[derive(Deserialize)]
struct Emoji {
    name: Option<String>,
    short_name: String,
    subcategory: String,
    image: PathBuf,
    has_img_twitter: bool,
}

impl Emoji {
    fn drawing(&self, root: &Path) -> Result<Drawing, String> {
        let label: Label = names::emoji(self.name.as_deref().unwrap_or_default(), &self.short_name, &self.subcategory)
            .ok_or("it has no name")?;
        let file = self.image.file_name().ok_or("it has no file")?;
        Ok(Drawing { label, pixels: render::png(&small_file(&root.join("64").join(file))?)? })
    }
}

fn emoji_list(path: &Path) -> Result<Vec<Emoji>, RedteamError> {
    let bytes = std::fs::read(path).map_err(RedteamError::io(path))?;
    let all: Vec<Emoji> = serde_json::from_slice(&bytes)
        .map_err(|e| RedteamError::dataset("emoji-datasource's list", path, e.to_string()))?;
    Ok(all.into_iter().filter(|emoji| emoji.has_img_twitter).collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::data_set::Pool;
    use crate::drawings::Drawings;

    fn put(root: &Path, path: &str, bytes: &[u8]) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("is below")).expect("makes folders");
        std::fs::write(path, bytes).expect("writes");
    }

    fn svg(colour: &str) -> Vec<u8> {
        let text = format!(
            "<svg xmlns='http://www.w3.org/2000/svg' width='90' height='90'><circle cx='50' cy='50' r='20' fill='{colour}'/></svg>"
        );
        text.into_bytes()
    }

    fn png() -> Vec<u8> {
        let mut bytes = Vec::new();
        let picture = image::RgbaImage::from_pixel(64, 64, image::Rgba([0, 0, 255, 255]));
        picture.write_to(&mut std::io::Cursor::new(&mut bytes), image::ImageFormat::Png).expect("encodes");
        bytes
    }

    /// Three drawings that are whole, and others that are not or that are not wanted.
    fn packages(root: &Path) {
        put(root, "openclipart/food/apple_01.svg", &svg("red"));
        put(root, "openclipart/food/lime.svg", &svg("lime"));
        put(root, "openclipart/food/broken.svg", &svg("blue")[..80]);
        put(root, "openclipart/food/twin_of_apple.svg", &svg("red"));
        put(root, "openclipart/food/latin.svg", b"<svg>\xe9</svg>");
        put(root, "openclipart/icons/flat-theme/folder.svg", &svg("black"));
        put(root, "openclipart/shapes/stars/star_5.svg", &svg("yellow"));
        put(root, "openclipart/food/large.svg", &vec![b' '; render::MAX_BYTES as usize + 1]);
        put(root, "emoji/64/1f499.png", &png());
        let list = r#"[{"name": "BLUE HEART", "short_name": "blue_heart", "subcategory": "heart", "image": "1f499.png", "has_img_twitter": true},
            {"name": "LOST", "short_name": "lost", "subcategory": "face", "image": "1.png", "has_img_twitter": true},
            {"name": "OTHERS", "short_name": "others", "subcategory": "face", "image": "2.png", "has_img_twitter": false}]"#;
        put(root, "emoji/emoji.json", list.as_bytes());
    }

    #[test]
    fn what_is_broken_costs_only_itself_and_is_counted() {
        let folder = tempfile::tempdir().expect("makes a folder");
        packages(folder.path());
        let (drawings, left_out) = gather(folder.path()).expect("gathers");
        let names: Vec<&str> = drawings.iter().map(|drawing| drawing.label.name.as_str()).collect();
        assert_eq!((names, left_out), (vec!["apple", "lime", "blue heart"], 5));
    }

    #[test]
    fn rendering_is_paid_once() {
        let folder = tempfile::tempdir().expect("makes a folder");
        packages(folder.path());
        let first = load(folder.path()).expect("renders");
        std::fs::remove_dir_all(folder.path().join("openclipart")).expect("removes");
        assert_eq!(load(folder.path()).expect("reads what is kept"), first);
        let parts = [crate::data_set::Part::Train, crate::data_set::Part::Test];
        let [train, test] = parts.map(|part| Drawings::read(folder.path(), part).expect("reads").len());
        assert_eq!(train / 10 + test, 3);
        std::fs::remove_file(folder.path().join("rendered-1.gz")).expect("removes");
        assert!(matches!(load(folder.path()), Err(RedteamError::Io { .. })));
    }
}
