//! The formats that a configuration is written in.

use crate::{Error, Kind, Result};
use std::fmt;

/// What a configuration is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// RFC 8259.
    Json,
    /// YAML 1.2, core schema.
    Yaml,
    /// TOML 1.0.
    Toml,
}

impl Format {
    /// By its name or by an extension of files: `json`, `yaml`, `yml`, `toml`, in any case.
    ///
    /// # Errors
    /// Another name.
    pub fn named(name: &str) -> Result<Self> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "json" => Self::Json,
            "yaml" | "yml" => Self::Yaml,
            "toml" => Self::Toml,
            _ => {
                let hint = crate::suggest::hint(name, ["json", "yaml", "toml"]);
                let message = format!("format {name:?} is none of json, yaml and toml{hint}");
                return Err(Error::new(Kind::Unsupported, message));
            }
        })
    }

    /// By a file's extension.
    ///
    /// # Errors
    /// Another extension, or none.
    pub fn of_path(path: &str) -> Result<Self> {
        // As age(1) is told to name what it encrypts.
        let path = path.strip_suffix(".age").unwrap_or(path);
        let extension = std::path::Path::new(path).extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("j2" | "jinja")) {
            let message = "it is a template: forgeone config render makes a configuration of it";
            return Err(Error::new(Kind::Unsupported, message));
        }
        let without = || {
            let message = "its name has no extension: .json, .yaml, .yml or .toml says what it is";
            Error::new(Kind::Unsupported, message)
        };
        Self::named(extension.ok_or_else(without)?)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Toml => "toml",
        })
    }
}
