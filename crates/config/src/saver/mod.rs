//! Where configurations go: files, texts and the environment.

mod environment;
mod file;
#[cfg(feature = "registry")]
mod registry;

pub use environment::{config_to_variables, save_config_to_env};
pub use file::{config_to_string, save_config_to_file, save_text_to_file};

#[cfg(feature = "registry")]
pub use registry::{push_config, save_config_to_registry};

use crate::{ContainerConfig, Error, Kind, Result};
use serde_json::Value;

/// A configuration as a JSON value. JSON has no infinite number and would make `null` of it, so that it would be gone.
pub(crate) fn tree(config: &ContainerConfig) -> Result<Value> {
    let cores = config.resource_limits.as_ref().and_then(|limits| limits.cpu_cores);
    for (name, number) in [("minimum_entropy", config.minimum_entropy), ("resource_limits.cpu_cores", cores)]
    {
        if number.is_some_and(|number| !number.is_finite()) {
            return Err(Error::new(Kind::Content, format!("{name}: it is infinite or no number")));
        }
    }
    serde_json::to_value(config).map_err(|e| Error::new(Kind::Content, e.to_string()))
}
