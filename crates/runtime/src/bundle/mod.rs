//! Bundles: reading, checking and making `config.json`.

pub mod template;
