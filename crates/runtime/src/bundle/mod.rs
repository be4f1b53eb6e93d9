//! Bundles: reading, checking and making `config.json`.
