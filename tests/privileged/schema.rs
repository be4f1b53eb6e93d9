//! The specification's own JSON schema, as Debian packages it: each field of it is broken in turn. The refusal is one
//! line with the field's path, and nothing has changed.
//!
//! `FORGEONE_SCHEMA` names another directory with the schema, such as that of a newer version.

use crate::bad_input::{change, dir, fault, listing};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::path::PathBuf;
use testkit::{Bundle, Door, privileged};

const PACKAGED: &str = "/usr/share/gocode/src/github.com/opencontainers/runtime-spec/schema";

/// Sections of other systems, which are kept and not read.
const FOREIGN: [&str; 5] = ["freebsd", "solaris", "vm", "windows", "zos"];
/// Fields that are Windows', and such as version 1.3 took back.
const NOT_OURS: [&str; 4] =
    ["process.commandLine", "process.user.username", "linux.intelRdt.enableCMT", "linux.intelRdt.enableMBM"];

/// A field of the schema.
struct Field {
    /// Where in a config, as a JSON pointer.
    pointer: String,
    /// As messages write it.
    path: String,
    /// Values of another type, or out of the range, that it can't have.
    wrong: Vec<Value>,
}

struct Schema {
    directory: PathBuf,
    files: HashMap<String, Value>,
    fields: Vec<Field>,
}

impl Schema {
    fn open() -> Option<Self> {
        let directory = PathBuf::from(std::env::var_os("FORGEONE_SCHEMA").unwrap_or_else(|| PACKAGED.into()));
        let there = directory.join("config-schema.json").exists();
        if !there {
            testkit::skip(
                "needs the specification's schema (Debian package golang-github-opencontainers-specs-dev)",
            );
        }
        there.then(|| Self { directory, files: HashMap::new(), fields: Vec::new() })
    }

    fn file(&mut self, name: &str) -> Value {
        let path = self.directory.join(name);
        let read = || serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        self.files.entry(name.to_owned()).or_insert_with(read).clone()
    }

    /// Follows `file#/pointer`; the file that the result stands in, and the result.
    fn resolve(&mut self, file: &str, reference: &str) -> (String, Value) {
        let (name, pointer) = reference.split_once('#').unwrap_or((reference, ""));
        let name = if name.is_empty() { file } else { name };
        let found = self.file(name).pointer(pointer).cloned();
        (name.to_owned(), found.unwrap_or_else(|| panic!("{reference} in {file}")))
    }

    fn walk(&mut self, file: &str, schema: &Value, pointer: &str, path: &str) {
        if let Some(reference) = schema["$ref"].as_str() {
            let (file, schema) = self.resolve(file, reference);
            return self.walk(&file, &schema, pointer, path);
        }
        for several in ["allOf", "anyOf", "oneOf"] {
            for one in schema[several].as_array().into_iter().flatten() {
                self.walk(file, one, pointer, path);
            }
        }
        let wrong = wrong(schema);
        if !path.is_empty() && !wrong.is_empty() {
            self.fields.push(Field { pointer: pointer.to_owned(), path: path.to_owned(), wrong });
        }
        let nothing = Map::new();
        for (name, schema) in schema["properties"].as_object().unwrap_or(&nothing) {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            if !FOREIGN.contains(&path.as_str()) && !NOT_OURS.contains(&path.as_str()) {
                self.walk(file, schema, &format!("{pointer}/{name}"), &path);
            }
        }
        for schema in schema["patternProperties"].as_object().unwrap_or(&nothing).values() {
            self.walk(file, schema, &format!("{pointer}/key"), &format!("{path}.key"));
        }
        if schema["items"].is_object() {
            self.walk(file, &schema["items"], &format!("{pointer}/0"), &format!("{path}[0]"));
        }
    }
}

/// Values that don't fit a schema's type.
fn wrong(schema: &Value) -> Vec<Value> {
    match schema["type"].as_str() {
        Some("object") => vec![json!("x"), json!([1])],
        Some("array") => vec![json!("x"), json!({"x": 1})],
        Some("string") => vec![json!(1), json!(["x"]), json!(true)],
        Some("boolean") => vec![json!("yes"), json!(1)],
        Some("integer") => {
            let mut values = vec![json!("x"), json!(1.5), json!({}), json!(1e30)];
            if schema["minimum"].as_i64() == Some(0) {
                values.push(json!(-1));
            }
            // Those of the integers' own sizes; what else is too large is for the kernel to say.
            let above = schema["maximum"].as_u64().and_then(|most| most.checked_add(1));
            values.extend(above.filter(|above| above.is_power_of_two() && *above > 1 << 9).map(Value::from));
            values
        }
        _ => vec![],
    }
}

/// Puts a value there; what is missing on the way is made, and a list that is there is replaced by one with this alone.
fn put(config: &mut Value, pointer: &str, value: Value) {
    let mut at = config;
    for key in pointer.split('/').skip(1) {
        if key == "0" {
            if !at.is_array() {
                *at = json!([]);
            }
            let list = at.as_array_mut().unwrap();
            list.truncate(1);
            if list.is_empty() {
                list.push(json!({}));
            }
            at = &mut list[0];
        } else {
            if !at.is_object() {
                *at = json!({});
            }
            at = at.as_object_mut().unwrap().entry(key).or_insert_with(|| json!({}));
        }
    }
    *at = value;
}

#[test]
fn every_field_of_the_schema_is_named_when_it_is_broken() {
    let Some(mut schema) = Schema::open().filter(|_| privileged::root()) else { return };
    schema.walk("config-schema.json", &json!({"$ref": "config-schema.json#"}), "", "");
    let mut bundle = Bundle::busybox().shell("echo started");
    let good = bundle.config().clone();
    let door = Door::new();
    let (id, mut all) = (door.id("broken"), Vec::new());
    for field in &schema.fields {
        for value in &field.wrong {
            let mut config = good.clone();
            put(&mut config, &field.pointer, value.clone());
            bundle = bundle.raw(serde_json::to_vec(&config).unwrap());
            let path = format!("config.json: {}: ", field.path);
            let output = door.run(["create", "--bundle", dir(&bundle), &id]);
            if let Some(fault) = fault(&output, "create", &[&path]) {
                all.push(format!("{} = {value}: {fault}", field.path));
                door.run(["delete", "--force", &id]);
            }
        }
        assert!(listing(&door.root()).is_empty(), "{} left a container", field.path);
    }
    assert!(all.is_empty(), "{} faults:\n{}", all.len(), all.join("\n"));
    // The schema was really read: 1.0.2 has some 220 fields.
    assert!(schema.fields.len() > 200, "{} fields", schema.fields.len());
}

#[test]
fn sections_for_other_systems_are_a_warning() {
    if !privileged::root() {
        return;
    }
    let mut bundle = Bundle::busybox().shell("echo started");
    let good = bundle.config().clone();
    let door = Door::new();
    for section in FOREIGN {
        let mut config = good.clone();
        change(&mut config, &format!("/{section}"), json!({"anything": [1, "x"]}));
        bundle = bundle.raw(serde_json::to_vec(&config).unwrap());
        let output = door.ok(["run", "--bundle", dir(&bundle), &door.id(section)]);
        assert_eq!(output.stdout, "started\n");
        let warned = output.stderr.lines().any(|line| line.contains("warning") && line.contains(section));
        assert!(warned, "{section}: {}", output.stderr);
    }
}
