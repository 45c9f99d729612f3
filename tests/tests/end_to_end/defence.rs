//! A cell of the defence's table on real images: its victim and twin are trained, audited and judged.
//!
//! It catches a bench that judges the wrong checkpoint, or loses what it computed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::audit::binary;

const LEARNED_AT_LEAST: f64 = 0.90;
/// How well the method works is the table's to say.
const EXCESS_AT_MOST: f64 = 0.15;

#[test]
fn a_cell_is_computed_once_and_stands_in_the_table() {
    let data = std::env::var_os("FASHION_MNIST").map(PathBuf::from);
    let data = data.expect("this test needs Fashion-MNIST: run `make test`, or set FASHION_MNIST to its folder");
    let folder = tempfile::tempdir().expect("makes a folder");
    let out = folder.path().join("out");
    let first = bench(&data, folder.path(), &out);
    assert!(first.contains("cells: 1 wanted, 1 to compute"), "{first}");
    assert!(first.contains("| blended | ubt | 1 |"), "{first}");

    let table = std::fs::read_to_string(out.join("defence.csv")).expect("leaves a table");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 2, "{table}");
    let column = |name: &str| rows[0].iter().position(|column| *column == name).expect("is a column");
    let share = |name: &str| rows[1][column(name)].parse::<f64>().expect("is a share");
    assert!(share("success_before") >= LEARNED_AT_LEAST, "{table}");
    assert!(share("success_after") <= share("success_twin") + EXCESS_AT_MOST, "{table}");
    assert!((0.5..=1.0).contains(&share("accuracy_after")), "{table}");
    let judged = ["before", "after", "twin"].map(|which| share(&format!("accuracy_{which}")));
    let differ = judged[0] != judged[1] && judged[1] != judged[2] && judged[0] != judged[2];
    assert!(differ && share("success_twin") < 0.5, "one checkpoint was judged for another: {table}");
    assert!(out.join("defence.html").is_file());

    std::fs::remove_file(out.join("defence.csv")).expect("is there");
    let again = bench(&data, folder.path(), &out);
    assert!(again.contains("cells: 1 wanted, 0 to compute"), "{again}");
    assert_eq!(std::fs::read_to_string(out.join("defence.csv")).expect("leaves a table"), table);
}

fn bench(data: &Path, folder: &Path, out: &Path) -> String {
    let run = Command::new(binary("lethe"))
        .args(["bench", "defence", "--attacks", "blended", "--seeds", "2", "--remedies", "ubt"])
        .args(["--epochs", "4", "--data"])
        .arg(data)
        .arg("--out")
        .arg(out)
        .env("LETHE_CACHE", folder.join("cache")) // the victim is trained anew, by this build
        .stdin(Stdio::null())
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&run.stderr).into_owned() + &String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}");
    said
}
