//! Errors a person can act on: one line, and a mark that tells wrong input (exit status 2) from a failed run (1).

use std::fmt;

/// Something a person wrote or a file holds is wrong: a key, a value, a path, a tensor's shape.
///
/// Binaries answer it with exit status 2. The text is one line naming the file, the key or tensor, what was found,
/// and what would be right.
#[derive(Debug, Clone)]
pub struct BadInput(pub String);

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadInput {}

/// `bad_input!("configs/a.yaml: key 'dim' …")` is an `anyhow::Error` that carries [`BadInput`].
#[macro_export]
macro_rules! bad_input {
    ($($text:tt)*) => {
        ::anyhow::Error::new($crate::torch::error::BadInput(format!($($text)*)))
    };
}

/// The first line of a libtorch error: the rest is a C++ back-trace.
pub fn first_line(error: &tch::TchError) -> String {
    let text = error.to_string();
    let line = text.lines().find(|l| !l.trim().is_empty()).unwrap_or("unknown libtorch error");
    line.trim().to_string()
}

/// Whether the person's input, not the run, is to blame.
pub fn is_bad_input(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<BadInput>())
}
