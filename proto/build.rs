//! Compiles the protos with protox, so that no machine needs a protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let protos = ["lethe/v1/lethe.proto"];
    for proto in protos {
        println!("cargo:rerun-if-changed={proto}");
    }
    let descriptors = protox::compile(protos, ["."])?;
    let methods: Vec<String> = descriptors.file.iter().flat_map(methods).collect();
    let text = format!("/// The path of every call.\npub const METHODS: [&str; {}] = {methods:?};\n", methods.len());
    std::fs::write(std::path::Path::new(&std::env::var("OUT_DIR")?).join("methods.rs"), text)?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}

fn methods(file: &protox::prost_reflect::prost_types::FileDescriptorProto) -> Vec<String> {
    let paths = file.service.iter().flat_map(|service| {
        service.method.iter().map(|method| format!("/{}.{}/{}", file.package(), service.name(), method.name()))
    });
    paths.collect()
}
