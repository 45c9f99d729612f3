//! Gives the coordinator the digest of the code that determines what an audit comes to, for the record of its results.

/// One list and one way to digest it: the command's, which keeps its measurements by it.
#[allow(dead_code, reason = "its main is the command's own")]
#[path = "../cli/build.rs"]
mod command;

fn main() {
    println!("cargo:rerun-if-changed=../cli/build.rs");
    println!("cargo:rustc-env=LETHE_METHOD={}", command::digest(command::METHOD, command::SHOWN));
}
