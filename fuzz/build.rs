//! An rpath to libtorch, as the other crates have it.

fn main() {
    if let Ok(root) = std::env::var("LIBTORCH") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{root}/lib");
    }
    println!("cargo:rerun-if-env-changed=LIBTORCH");
}
