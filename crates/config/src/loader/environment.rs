//! From environment variables; the mapping is described in [`crate::environment`].

use crate::document::{Document, Format};
use crate::environment::{field, variable, Owner, PREFIX};
use crate::model::{Shape, FIELDS};
use crate::suggest::hint;
use crate::{ContainerConfig, Error, Kind, Result};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Loads a configuration from this process's environment: `FORGEONE_IMAGE`, `FORGEONE_ENV_NAME` and so on, see
/// [`environment`](crate::environment). Variables without the prefix don't count.
///
/// # Errors
/// A variable with the prefix that is no field's and not the runtime's, with the one that was probably meant; a value
/// that doesn't fit the field; one that isn't UTF-8.
pub fn load_config_from_env() -> Result<ContainerConfig> {
    let mut variables = Vec::new();
    for (name, value) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if !name.starts_with(PREFIX) {
            continue;
        }
        let text = value.into_string().map_err(|_| fault(&name, "its value is no UTF-8"))?;
        variables.push((name, text));
    }
    load_config_from_variables(variables)
}

/// As [`load_config_from_env`], from these names and values instead.
///
/// # Errors
/// As [`load_config_from_env`].
pub fn load_config_from_variables<N: Into<String>, V: Into<String>>(
    variables: impl IntoIterator<Item = (N, V)>,
) -> Result<ContainerConfig> {
    // The fields in JSON; those made of names and texts apart, since several variables make one.
    let mut fields: BTreeMap<&str, String> = BTreeMap::new();
    let mut maps: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut members = Vec::new();
    for (name, text) in variables.into_iter().map(|(name, value)| (name.into(), value.into())) {
        match field(&name) {
            Owner::Field(key, Shape::Map) => drop(maps.insert(key, object(&name, &text)?)),
            Owner::Field(key, Shape::Text) => drop(fields.insert(key, Value::from(text).to_string())),
            Owner::Field(key, _) => {
                Document::parse(&text, Format::Json).map_err(|e| not_json(&name, &e))?;
                fields.insert(key, text);
            }
            Owner::Member(key, member) => members.push((key, member.to_owned(), text)),
            Owner::Unknown => return Err(unknown(&name)),
            Owner::Other => {}
        }
    }
    for (key, member, text) in members {
        maps.entry(key).or_default().insert(member, Value::String(text));
    }
    fields.extend(maps.into_iter().map(|(key, map)| (key, Value::Object(map).to_string())));
    let fields: Vec<_> = fields.iter().map(|(key, text)| format!("{key:?}: {text}")).collect();
    let config = Document::parse(&format!("{{{}}}", fields.join(", ")), Format::Json);
    let config = config.and_then(|document| document.decode());
    config.map_err(|e| Error::new(e.kind(), format!("load the environment: {e}")))
}

/// The object that the variable of a field of names and texts holds.
fn object(name: &str, text: &str) -> Result<Map<String, Value>> {
    let document = Document::parse(text, Format::Json).map_err(|e| not_json(name, &e))?;
    let map: BTreeMap<String, String> = document.decode().map_err(|e| fault(name, e))?;
    Ok(map.into_iter().map(|(key, text)| (key, Value::String(text))).collect())
}

fn unknown(name: &str) -> Error {
    let known: Vec<_> = FIELDS.iter().map(|(key, _)| variable(key)).chain([variable("image")]).collect();
    let hint = hint(name, known.iter().map(String::as_str));
    fault(name, format!("it is no field of a configuration{hint}"))
}

fn not_json(name: &str, error: &Error) -> Error {
    fault(name, format!("its value is no JSON: {error}"))
}

fn fault(name: &str, message: impl std::fmt::Display) -> Error {
    Error::new(Kind::Content, format!("load the environment: {name}: {message}"))
}
