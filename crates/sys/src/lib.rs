//! Linux made safe: one file per facility, and the only crate of the project with `unsafe`.

mod error;

pub use error::{Errno, Error, Result};
