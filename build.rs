//! Lets the binaries and tests find libtorch with no variable set, and MKL its fastest kernels.
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
    // Keeps `torch::mkl`'s answer in every program and shows it to libtorch.
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo:rustc-link-arg=-Wl,--undefined=mkl_serv_intel_cpu_true");
        println!("cargo:rustc-link-arg=-Wl,--export-dynamic-symbol=mkl_serv_intel_cpu_true");
    }
}
