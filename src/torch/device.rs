//! Devices: opens the CUDA back end at run time, so that one binary serves machines with and without a GPU.
//!
//! Linking libtorch_cuda would keep the program from starting where the CUDA libraries are missing, and the linker
//! drops it anyway (nothing refers to it). Opening it by name registers the back end; the one rule is that nobody may
//! ask libtorch about CUDA before that, because the first answer is kept for the life of the process.

use std::ffi::CStr;
use std::sync::OnceLock;

use anyhow::Result;
use tch::Device;

use crate::bad_input;

/// What `--device` asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    Auto,
    Cpu,
    Cuda(usize),
}

/// Parses `auto`, `cpu`, `cuda` or `cuda:N`.
pub fn parse(text: &str) -> Result<Request> {
    match text {
        "auto" => Ok(Request::Auto),
        "cpu" => Ok(Request::Cpu),
        "cuda" => Ok(Request::Cuda(0)),
        _ => match text.strip_prefix("cuda:").and_then(|n| n.parse().ok()) {
            Some(index) => Ok(Request::Cuda(index)),
            None => Err(bad_input!("--device '{text}': expected auto, cpu, cuda or cuda:N")),
        },
    }
}

/// The device to compute on and, for `auto` without a GPU, the reason it is the CPU.
pub fn select(text: &str) -> Result<(Device, Option<String>)> {
    match parse(text)? {
        Request::Cpu => Ok((Device::Cpu, None)),
        Request::Cuda(index) => cuda(index).map(|d| (d, None)).map_err(|cause| {
            bad_input!("--device {text}: CUDA cannot be used here: {cause}; use --device cpu or auto (make setup CUDA=1 fetches CUDA libraries)")
        }),
        Request::Auto => match cuda(0) {
            Ok(device) => Ok((device, None)),
            Err(cause) => Ok((Device::Cpu, Some(cause))),
        },
    }
}

/// A person's name for the device: `cpu`, `cuda:0`.
pub fn describe(device: Device) -> String {
    match device {
        Device::Cpu => "cpu".into(),
        Device::Cuda(index) => format!("cuda:{index}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// Waits for queued GPU work, so that a clock read afterwards means something.
pub fn synchronize(device: Device) {
    if let Device::Cuda(index) = device {
        tch::Cuda::synchronize(index as i64);
    }
}

fn cuda(index: usize) -> Result<Device, String> {
    open_cuda_back_end()?;
    let count = tch::Cuda::device_count().max(0) as usize;
    if count == 0 {
        return Err("libtorch's CUDA back end opened but found no GPU or no NVIDIA driver".into());
    }
    if index >= count {
        return Err(format!("cuda:{index} was asked for, but there are {count} GPUs (cuda:0 is the first)"));
    }
    Ok(Device::Cuda(index))
}

/// Opens libtorch_cuda once, before the first question about CUDA; the answer is remembered.
fn open_cuda_back_end() -> Result<(), String> {
    static OPENED: OnceLock<Result<(), String>> = OnceLock::new();
    OPENED.get_or_init(|| dlopen_global(c"libtorch_cuda.so")).clone()
}

fn dlopen_global(library: &CStr) -> Result<(), String> {
    // SAFETY: dlopen of a shared library by a constant name, whose initialisers register CUDA kernels with libtorch;
    // dlerror's text is copied before any other call of the loader on this thread.
    unsafe {
        if !libc::dlopen(library.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL).is_null() {
            return Ok(());
        }
        let message = libc::dlerror();
        if message.is_null() {
            return Err("libtorch_cuda.so could not be opened".into());
        }
        let message = CStr::from_ptr(message).to_string_lossy();
        Err(format!("libtorch's CUDA libraries are not here ({message})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_parse_or_say_what_is_allowed() {
        assert_eq!(parse("auto").unwrap(), Request::Auto);
        assert_eq!(parse("cuda:3").unwrap(), Request::Cuda(3));
        for wrong in ["gpu", "cuda:", "cuda:-1", "CPU", ""] {
            let text = parse(wrong).unwrap_err().to_string();
            assert!(text.contains("auto, cpu, cuda or cuda:N"), "{text}");
        }
    }
}
