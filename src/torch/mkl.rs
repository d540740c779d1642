//! Lets MKL use the widest vector unit whoever made the processor.
//!
//! The MKL inside libtorch asks for the *vendor* before it asks for features, and gives every processor that is not
//! Intel's its AVX2 kernels: on an AMD core with AVX-512 single-precision matrix products then run at half speed. The
//! question is one exported function; the one below answers in its place (build.rs makes the linker keep and export
//! it, so libtorch finds this one first). MKL still chooses by the features that the processor reports, so a core
//! without AVX-512 gets what it can run. Measured here on an EPYC core, 2000 x 128 x 128: 0.61 ms against 0.34 ms.

/// MKL's `mkl_serv_intel_cpu_true`: yes.
#[unsafe(no_mangle)]
pub extern "C" fn mkl_serv_intel_cpu_true() -> libc::c_int {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A libtorch built without MKL has no such function, and then there is nothing to replace.
    #[test]
    fn libtorch_finds_this_answer_first() {
        // Loads libtorch's symbols before the look-up.
        let _ = tch::Tensor::zeros([1], (tch::Kind::Float, tch::Device::Cpu));
        // SAFETY: a look-up of a constant name in the symbols already loaded.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"mkl_serv_intel_cpu_true".as_ptr()) };
        assert_eq!(found as usize, mkl_serv_intel_cpu_true as *const () as usize);
    }
}
