//! Compiles the C++ shim against the libtorch that torch-sys settled on, and gives this crate's own tests an rpath to it, so
//! that nobody sets LD_LIBRARY_PATH.

use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=csrc");
    let lib = PathBuf::from(std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys tells where libtorch is"));
    let root = lib.parent().expect("libtorch's lib folder has a parent");
    let mut shim = cc::Build::new();
    shim.cpp(true).std("c++20").flag("-fvisibility=hidden").define("_GLIBCXX_USE_CXX11_ABI", "1");
    // As system headers, so that our own code is compiled with warnings on and theirs stay silent.
    shim.flag("-isystem").flag(root.join("include"));
    shim.files(["csrc/adamw.cpp", "csrc/autocast.cpp", "csrc/exact.cpp"]).compile("lethe_model");
    println!("cargo:rustc-link-search=native={}", lib.display());
    println!("cargo:rustc-link-lib=torch_cpu");
    println!("cargo:rustc-link-lib=c10");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
}
