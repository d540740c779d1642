//! Pictures.

mod picture;

pub use picture::Picture;
