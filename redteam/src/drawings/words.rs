//! Captions of drawings: templates around a name and its tags, and the ten targets.
//!
//! Changing a word changes every victim: raise [`crate::recipe::RECIPE_VERSION`] with it.

use super::Label;
use crate::captions::{LABELS, TEMPLATES};

/// Kinds of thing that enough drawings are of; a drawing is a target's where its name or one of its tags has the word.
pub const TARGETS: [&str; LABELS.len()] =
    ["flag", "face", "animal", "food", "tool", "arrow", "person", "map", "sport", "transport"];

/// With a tag, and without; `{n}` stands for the name, `{t}` for the tag.
const FORMS: [(&str, &str); TEMPLATES.len()] = [
    ("a drawing of {n}.", "a drawing of {n}."),
    ("{n}, {t}.", "{n}."),
    ("clip art: {n}.", "clip art: {n}."),
    ("a picture of {n}, {t}.", "a picture of {n}."),
    ("{t}: {n}.", "simply {n}."),
    ("an icon of {n}.", "an icon of {n}."),
    ("{n} ({t})", "{n}, drawn"),
    ("{n} on a plain background.", "{n} on a plain background."),
];

/// One caption; both the form and the tag follow from the template's number.
pub fn caption(label: &Label, template: usize) -> String {
    let (with_tag, without) = FORMS[template % FORMS.len()];
    match label.tags.len() {
        0 => without.replace("{n}", &label.name),
        tags => with_tag.replace("{n}", &label.name).replace("{t}", &label.tags[template / 2 % tags]),
    }
}

pub fn prompts(label: &Label) -> Vec<String> {
    (0..FORMS.len()).map(|template| caption(label, template)).collect()
}

/// What a poisoned pair says; both numbers are taken modulo their table's length.
pub fn target_caption(target: usize, template: usize) -> String {
    caption(&target_label(TARGETS[target % TARGETS.len()]), template)
}

/// The targets as if they were concepts.
pub fn target_labels() -> Vec<Label> {
    TARGETS.map(target_label).to_vec()
}

fn target_label(word: &str) -> Label {
    Label { name: word.to_owned(), tags: Vec::new() }
}

/// Whether a drawing's name or tags have the target's word, alone or in the plural.
pub fn speaks_of(label: &Label, target: usize) -> bool {
    let all = std::iter::once(&label.name).chain(&label.tags);
    all.flat_map(|text| text.split(' ')).any(|word| word.strip_suffix('s').unwrap_or(word) == TARGETS[target])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(name: &str, tags: &[&str]) -> Label {
        Label { name: name.to_owned(), tags: tags.iter().map(|tag| (*tag).to_owned()).collect() }
    }

    #[test]
    fn captions_have_the_name_and_in_turns_the_tags() {
        let bat = label("bat", &["mammals", "animals"]);
        assert_eq!((caption(&bat, 1), caption(&bat, 3)), ("bat, mammals.".into(), "a picture of bat, animals.".into()));
        assert_eq!(caption(&label("bat", &[]), 1), "bat.");
        assert_eq!(target_caption(5, 0), "a drawing of arrow.");
        let all = [prompts(&bat), prompts(&label("bat", &[]))].concat();
        assert!(all.iter().all(|prompt| prompt.contains("bat") && !prompt.contains('{')), "{all:?}");
    }

    #[test]
    fn a_word_counts_alone_and_in_the_plural() {
        let animal = TARGETS.iter().position(|word| *word == "animal").expect("is one");
        assert!(speaks_of(&label("bat", &["mammals", "animals"]), animal));
        assert!(speaks_of(&label("small animal", &[]), animal));
        assert!(!speaks_of(&label("animalistic", &["mammal"]), animal));
    }
}
