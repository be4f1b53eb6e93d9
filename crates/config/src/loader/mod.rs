//! Where configurations come from: files, texts and the environment. What is loaded isn't validated yet.

mod environment;
mod file;

pub use environment::{load_config_from_env, load_config_from_variables};
pub use file::{load_config_from_file, load_document_from_file, parse_config};
