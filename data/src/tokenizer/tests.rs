use serde::Deserialize;

use super::*;

/// One row of tests/reference/tokens.json, which open_clip made.
#[derive(Deserialize)]
struct Reference {
    text: String,
    ids_77: Vec<i64>,
    ids_16: Vec<i64>,
}

fn references() -> Vec<Reference> {
    serde_json::from_str(include_str!("../../../tests/reference/tokens.json")).expect("is the reference")
}

fn padded(ids: &[i64], context_length: usize) -> Vec<i64> {
    let mut ids = ids.to_vec();
    ids.resize(context_length, 0);
    ids
}

#[test]
fn every_reference_string_has_open_clips_ids() {
    let tokenizer = Tokenizer::new();
    let references = references();
    let differs = |reference: &&Reference| {
        tokenizer.encode(&reference.text, 77) != padded(&reference.ids_77, 77)
            || tokenizer.encode(&reference.text, 16) != padded(&reference.ids_16, 16)
    };
    let wrong: Vec<String> = references
        .iter()
        .filter(differs)
        .map(|row| format!("{:?} cleaned {:?}", row.text, clean::clean(&row.text)))
        .collect();
    assert!(references.len() > 300, "only {} strings", references.len());
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), references.len(), wrong.join("\n"));
}

#[test]
fn words_carry_the_captions_tokens() {
    let tokenizer = Tokenizer::new();
    for reference in references() {
        let words = tokenizer.words(&reference.text);
        let whole = tokenizer.encode(&reference.text, 512);
        let end = words.last().map_or(1, |word| word.tokens.end);
        assert_eq!(whole[end], 49_407, "{:?}", reference.text);
        for word in &words {
            let alone = tokenizer.encode_words(&[&word.text], 512);
            assert_eq!(alone[1..=word.tokens.len()], whole[word.tokens.clone()], "{word:?}");
        }
        let all: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(tokenizer.encode_words(&all, 512), whole, "{:?}", reference.text);
    }
}

#[test]
fn captions_lose_chosen_words() {
    let tokenizer = Tokenizer::new();
    let words = tokenizer.words("A photo of a Banana, it's ripe!");
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    assert_eq!(texts, ["a", "photo", "of", "a", "banana", ",", "it", "'s", "ripe", "!"]);
    let kept: Vec<&str> = texts.iter().copied().filter(|text| *text != "banana").collect();
    assert_eq!(tokenizer.encode_words(&kept, 77), tokenizer.encode("a photo of a, it's ripe!", 77));
    assert_eq!(tokenizer.encode_words(&["banana"], 77), tokenizer.encode("BANANA", 77));
}

#[test]
fn odd_context_lengths_keep_the_end_token() {
    let tokenizer = Tokenizer::new();
    assert_eq!(tokenizer.encode("a b c d", 3), [49_406, 320, 49_407]);
    assert_eq!(tokenizer.encode("a", 1), [49_407]);
    assert!(tokenizer.encode("a", 0).is_empty());
}
