//! The JSON Schema of files, made from the types: editors complete, explain and check by it.
//!
//! It says of each value what the readers say: which keys there are, and what stands at them. What only
//! [`check_config`](crate::check_config) knows (that a port is there twice) is not in it.

use crate::version::VERSION;
use crate::ContainerConfig;
use schemars::generate::SchemaSettings;
use schemars::{json_schema, JsonSchema, Schema, SchemaGenerator};
use serde_json::{json, Map, Value};
use std::borrow::Cow;

/// The JSON Schema (draft 7, which editors know best) of a file, of the version that is written; indented, it is
/// `docs/config.schema.json`.
///
/// A number such as `1.0` is whole for JSON Schema and isn't for the readers; in all else they agree.
///
/// ```
/// let schema = forgeone_config::config_schema();
/// assert_eq!(schema["properties"]["pids_limit"]["minimum"], 0);
/// assert_eq!(schema["additionalProperties"], false);
/// ```
pub fn config_schema() -> Value {
    let generator = SchemaSettings::draft07().into_generator();
    let mut schema = Value::from(generator.into_root_schema_for::<ContainerConfig>());
    bound(&mut schema);
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        let fields = std::mem::replace(properties, head());
        properties.extend(fields);
    }
    schema
}

/// What a file says of itself, in front of the fields.
fn head() -> Map<String, Value> {
    let version = json!({
        "description": "The version of the format; the newest where absent.",
        "const": VERSION,
    });
    let extends = json!({
        "description": "Files beside this one that it stands on: what they say is below what it says, the first lowest.",
        "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }],
    });
    Map::from_iter([("version".to_owned(), version), ("extends".to_owned(), extends)])
}

/// Gives whole numbers the upper bound that their format means; the format is only a hint to who reads the schema.
fn bound(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            let most = match map.get("format").and_then(Value::as_str) {
                Some("uint32") => Some(u64::from(u32::MAX)),
                Some("uint64") => Some(u64::MAX),
                _ => None,
            };
            if let Some(most) = most {
                map.insert("maximum".to_owned(), most.into());
            }
            map.values_mut().for_each(bound);
        }
        Value::Array(items) => items.iter_mut().for_each(bound),
        _ => {}
    }
}

/// The schema of a type that is written as a text: its name, its pattern, and what is said of it.
macro_rules! text {
    ($($kind:ty, $name:literal, $pattern:literal, $about:literal;)*) => { $(
        impl JsonSchema for $kind {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "description": $about, "type": "string", "pattern": $pattern })
            }
        }
    )* };
}
text! {
    crate::Period, "Period", "^([0-9]+(h|ms|m|s))+$", "A length of time as a sum of `h`, `m`, `s` and `ms`: `1m30s`.";
    crate::RestartPolicy, "RestartPolicy", "^(no|always|unless-stopped|on-failure(:[0-9]+)?)$",
        "Whether the program is started again: `no`, `always`, `unless-stopped`, `on-failure`, `on-failure:TIMES`.";
}
