//! Gives the binaries the path of libtorch, so that nobody sets LD_LIBRARY_PATH.

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-env-changed=LETHE_RPATH");
    // A release finds libtorch beside itself, wherever it lies.
    let beside =
        std::env::var("LETHE_RPATH").or_else(|_| std::env::var("LIBTORCH").map(|torch| format!("{torch}/lib")));
    if let Ok(folder) = beside {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
}
