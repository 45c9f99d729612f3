//! What drawings are called: words of files, titles and keywords, without authors, numbers and what says nothing.
//!
//! A name must be lower case words with single spaces: equal names are one concept.

use resvg::usvg::roxmltree::{Document, Node};

use super::Label;

/// Words of a name, and tags of a drawing, at most.
const MAX_WORDS: usize = 5;
const MAX_TAGS: usize = 4;
/// Letters of a tag, at most.
const MAX_TAG: usize = 24;
/// Folders and keywords that say nothing about a drawing.
const IDLE: [&str; 5] = ["unsorted", "hash", "special", "signs and symbols", "duplicates"];

/// Of a piece of clip art, by its path in the package and the metadata in it.
pub fn clip_art(path: &str, document: &Document<'_>) -> Option<Label> {
    let mut folders: Vec<&str> = path.split('/').collect();
    let file = folders.pop()?;
    let stem = words(file.strip_suffix(".svg").unwrap_or(file));
    let told = Told::of(document);
    let own: Vec<String> = stem.iter().filter(|word| word.len() > 1 && !told.is_author(word)).cloned().collect();
    let name = match (told.covers(&own), own.is_empty()) {
        (true, _) => told.title,
        (false, false) => own,
        (false, true) => stem,
    };
    let folders = folders.into_iter().rev().take(2).map(str::to_owned);
    label(&name, folders.chain(told.keywords))
}

/// Of an emoji, by its name, its short name and its subcategory.
pub fn emoji(name: &str, short_name: &str, subcategory: &str) -> Option<Label> {
    let name = if name.is_empty() { short_name } else { name };
    label(&words(name), [subcategory.to_owned(), short_name.to_owned()].into_iter())
}

fn label(name: &[String], tags: impl Iterator<Item = String>) -> Option<Label> {
    let name = name[..name.len().min(MAX_WORDS)].join(" ");
    let mut kept: Vec<String> = Vec::new();
    for tag in tags.map(|tag| words(&tag).join(" ")) {
        let says = !tag.is_empty() && tag.len() <= MAX_TAG && !IDLE.contains(&tag.as_str()) && !tag.starts_with("hash");
        if says && tag != name && !kept.contains(&tag) && kept.len() < MAX_TAGS {
            kept.push(tag);
        }
    }
    (!name.is_empty()).then_some(Label { name, tags: kept })
}

/// The metadata that Open Clip Art's files carry (Dublin Core in RDF).
#[derive(Default)]
struct Told {
    title: Vec<String>,
    author: Vec<String>,
    keywords: Vec<String>,
}

impl Told {
    fn of(document: &Document<'_>) -> Self {
        let named = |node: &Node<'_, '_>, name: &str| node.tag_name().name() == name;
        let mut told = Self::default();
        for node in document.descendants() {
            let (text, parent) = (node.text().unwrap_or_default(), node.parent());
            let within = |name| node.ancestors().skip(1).any(|above| named(&above, name));
            if named(&node, "title") && parent.is_some_and(|parent| named(&parent, "Work")) {
                told.title = words(text);
            } else if named(&node, "title") && within("creator") {
                told.author = words(text);
            } else if named(&node, "li") && within("subject") {
                told.keywords.push(text.to_owned());
            }
        }
        told
    }

    /// Files are named after their drawing and its author, cut off after some letters.
    fn is_author(&self, word: &str) -> bool {
        ["anonymous", "clipart"].contains(&word)
            || self.author.iter().any(|name| name.len() > 2 && name.starts_with(word))
    }

    /// Whether the title says all that the file's name does. Many titles are a whole collection's.
    fn covers(&self, own: &[String]) -> bool {
        !own.is_empty() && own.iter().all(|word| self.title.iter().any(|other| other.starts_with(word.as_str())))
    }
}

/// Runs of letters, in lower case.
fn words(text: &str) -> Vec<String> {
    let runs = text.split(|c: char| !c.is_alphabetic()).filter(|run| !run.is_empty());
    runs.map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(path: &str, title: &str, author: &str, keywords: &[&str]) -> Option<Label> {
        let keywords: String = keywords.iter().map(|word| format!("<li>{word}</li>")).collect();
        let text = format!(
            "<svg><title>of a shape</title><Work><title>{title}</title><creator><Agent><title>{author}</title></Agent></creator>\
             <subject><Bag>{keywords}</Bag></subject></Work></svg>"
        );
        clip_art(path, &Document::parse(&text).expect("is XML"))
    }

    #[test]
    fn names_are_what_is_drawn() {
        for (path, title, author, name) in [
            ("food/aglio_architetto_frances_01.svg", "Aglio", "Architetto Francesco Rollandin", "aglio"),
            ("animals/contour_bat.svg", "Clipart by Nicu Buculei - contour_chipmunk", "Nicu Buculei", "contour bat"),
            ("party/cone_alt1.svg", "Ice Cream Cone", "Gerald G.", "cone alt"),
            ("geography/planet_earth_dan_gerhard_01.svg", "Planet Earth", "Dan Gerhards", "planet earth"),
            ("tools/digital_camera_nicu_bucu_01.svg", "digital camera", "Nicu Buculei", "digital camera"),
            ("flags/togo.svg", "", "", "togo"),
            ("signs/douche_securit_yves_gu_01.svg", "Douche securité", "yves GUILLOU", "douche securité"),
        ] {
            assert_eq!(called(path, title, author, &[]).expect("has a name").name, name, "{path}");
        }
        assert_eq!(called("people/01.svg", "", "", &[]), None);
    }

    #[test]
    fn tags_are_folders_and_keywords_that_say_something() {
        let found = called("food/fruit/banana.svg", "", "", &["hash(0x8a07724)", "", "Fruit", "yellow", "banana"]);
        assert_eq!(found.expect("has a name").tags, ["fruit", "food", "yellow"]);
        let found = emoji("BROCCOLI", "broccoli", "food-vegetable").expect("has a name");
        assert_eq!((found.name.as_str(), found.tags), ("broccoli", vec!["food vegetable".to_owned()]));
        assert_eq!(emoji("", "heavy_check_mark", "").expect("has a name").name, "heavy check mark");
    }
}
