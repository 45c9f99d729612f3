//! Compiles the protos with protox, so that no machine needs a protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let protos = ["lethe/v1/lethe.proto"];
    for proto in protos {
        println!("cargo:rerun-if-changed={proto}");
    }
    let descriptors = protox::compile(protos, ["."])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
