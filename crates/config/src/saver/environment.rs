//! Into environment variables; the mapping is described in [`crate::environment`].

use super::tree;
use crate::environment::{field, variable, Owner};
use crate::model::{Shape, FIELDS};
use crate::{ContainerConfig, Error, Kind, Result};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Saves a configuration to this process's environment, where [`load_config_from_env`](crate::load_config_from_env) and
/// programs that are started find it. Variables of fields that are absent are removed.
///
/// # Safety of threads
/// No other thread may read or write the environment meanwhile, not even by a function of C's library that does
/// (`getaddrinfo`, `localtime` …): that would be undefined behaviour. A program with threads gives
/// [`config_to_variables`] to [`Command::envs`](std::process::Command::envs) instead.
///
/// # Errors
/// As [`config_to_variables`]; nothing was changed then.
pub fn save_config_to_env(config: &ContainerConfig) -> Result<()> {
    let variables = config_to_variables(config)?;
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if matches!(field(&name), Owner::Field(..) | Owner::Member(..)) && !variables.contains_key(&*name) {
            std::env::remove_var(&*name);
        }
    }
    for (name, value) in variables {
        std::env::set_var(name, value);
    }
    Ok(())
}

/// A configuration as environment variables, for [`Command::envs`](std::process::Command::envs).
///
/// ```
/// use forgeone_config::{config_to_variables, ContainerConfig};
/// let config = ContainerConfig::builder().image("web").env([("PORT", "80")]).tty(true).build();
/// let variables = config_to_variables(&config)?;
/// assert_eq!(variables["FORGEONE_IMAGE"], "web");
/// assert_eq!(variables["FORGEONE_ENV_PORT"], "80");
/// assert_eq!(variables["FORGEONE_TTY"], "true");
/// # Ok::<(), forgeone_config::Error>(())
/// ```
///
/// # Errors
/// A text with a NUL byte, which the environment can't hold; a number that is infinite or none.
pub fn config_to_variables(config: &ContainerConfig) -> Result<BTreeMap<String, String>> {
    let tree = tree(config).map_err(|e| e.during("save the environment"))?;
    let mut variables = BTreeMap::new();
    if !config.image.is_empty() {
        variables.insert(variable("image"), config.image.clone());
    }
    for (key, shape) in FIELDS {
        match (shape, tree.get(key)) {
            (_, None) => {}
            (Shape::Map, Some(Value::Object(map))) => members(key, map, &mut variables),
            (_, Some(Value::String(text))) => drop(variables.insert(variable(key), text.clone())),
            (_, Some(value)) => drop(variables.insert(variable(key), value.to_string())),
        }
    }
    match variables.iter().find(|(name, value)| name.contains('\0') || value.contains('\0')) {
        Some((name, _)) => {
            Err(fault(&name.replace('\0', "\\0"), "a NUL byte, which the environment can't hold"))
        }
        None => Ok(variables),
    }
}

/// A variable for each name that can be part of one, and the object of the others.
fn members(key: &str, map: &Map<String, Value>, variables: &mut BTreeMap<String, String>) {
    let mut rest = Map::new();
    for (member, value) in map {
        let single = format!("{}_{member}", variable(key));
        match value {
            Value::String(text)
                if field(&single) == Owner::Member(own(key), member) && !member.is_empty() =>
            {
                if member.contains(['=', '\0']) || text.contains('\0') {
                    rest.insert(member.clone(), value.clone());
                } else {
                    variables.insert(single, text.clone());
                }
            }
            _ => drop(rest.insert(member.clone(), value.clone())),
        }
    }
    if !rest.is_empty() || map.is_empty() {
        variables.insert(variable(key), Value::Object(rest).to_string());
    }
}

/// The table's word for a field.
fn own(key: &str) -> &'static str {
    FIELDS.iter().find(|(known, _)| *known == key).map_or("", |(known, _)| known)
}

fn fault(what: &str, message: impl std::fmt::Display) -> Error {
    Error::new(Kind::Content, format!("save the environment: {what}: {message}"))
}
