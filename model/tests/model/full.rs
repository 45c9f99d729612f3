//! ViT-B/32 and RN50 in their whole size; `make reference-full` writes the files and runs this.

use std::path::PathBuf;

use crate::families::{Folder, assert_conforms, assert_returns};

#[test]
#[ignore = "needs 2 GB of reference files: make reference-full"]
fn whole_models_equal_their_libraries_and_go_back_bit_for_bit() {
    let root = PathBuf::from(std::env::var("FULL_REFERENCE").unwrap());
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert_eq!(folders.len(), 4, "{root:?} is not whole");
    for folder in folders.into_iter().map(Folder) {
        assert_conforms(&folder);
        assert_returns(&folder);
    }
}
