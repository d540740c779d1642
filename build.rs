//! Lets the binaries and tests find libtorch with no variable set.
//!
//! torch-sys tells its direct dependants where libtorch's libraries lie; an rpath to that folder is all that is
//! needed. CUDA is deliberately *not* linked: `torch::device` opens it at run time, so that one binary serves
//! machines with and without a GPU.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    if let Ok(folder) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
}
