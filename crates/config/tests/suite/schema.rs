//! The JSON Schema says what the readers say.
//!
//! A changed schema is taken over by `FORGEONE_TEST_BLESS=1 cargo nextest run -p forgeone-config schema`.

use crate::arbitrary::config;
use forgeone_config::{config_schema, parse_config, Document, Format};
use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{json, Value};
use std::path::Path;

fn validator() -> Validator {
    jsonschema::validator_for(&config_schema()).unwrap()
}

#[test]
fn the_published_schema_is_that_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/config.schema.json");
    let text = format!("{:#}\n", config_schema());
    if std::env::var_os("FORGEONE_TEST_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap();
    assert!(published == text, "docs/config.schema.json isn't what `forgeone config schema` says");
}

/// Whether the schema and the readers say the same of a text; a text that isn't well-formed is no schema's affair.
fn agree(validator: &Validator, text: &str) -> bool {
    let Ok(document) = Document::parse(text, Format::Yaml) else { return true };
    let read = parse_config(text, Format::Yaml);
    let fits = validator.is_valid(&document.to_value());
    assert_eq!(
        read.is_ok(),
        fits,
        "{text}\n{:?}\n{:?}",
        read.err(),
        validator.validate(&document.to_value())
    );
    fits
}

#[test]
fn the_schema_and_the_readers_agree_on_the_tables() {
    let validator = validator();
    let texts = [include_str!("good.txt"), include_str!("bad.txt")];
    let cases = texts.iter().flat_map(|text| text.lines()).filter(|line| !line.starts_with("    "));
    let (fit, unfit): (Vec<_>, Vec<_>) = cases.partition(|case| agree(&validator, case));
    assert!(fit.len() > 150, "{}", fit.len());
    for text in [
        "version: 1",
        "version: '1'",
        "imgae: a",
        "image: ~",
        "name: ~",
        "shm_size: -1",
        "shm_size: 1.5",
        "network: {}",
        "network: {mode: bridge, ports: [{host_port: 65536, container_port: 1}]}",
        "network: {mode: bridge, ports: [{host_port: 1, container_port: 1, protocol: TCP}]}",
        "env: {A: 1}",
        "env: {A: ~}",
        "args: a",
        "restart: on-failure:",
        "stop_grace_period: 10",
        "stop_grace_period: ''",
        "ulimits: {nofile: {soft: 1}}",
        "healthcheck: {test: [a], retries: 4294967296}",
        "[]",
    ] {
        agree(&validator, text);
    }
    let words: Vec<_> = unfit.iter().filter(|case| case.starts_with("restart")).collect();
    assert!(!words.is_empty(), "no case of the tables is refused by the schema: {unfit:?}");
}

/// Any value of the tree, by a number.
fn nth(value: &mut Value, n: usize) -> &mut Value {
    let inside: Vec<String> = match value {
        Value::Object(map) => map.keys().cloned().collect(),
        Value::Array(items) => (0..items.len()).map(|index| index.to_string()).collect(),
        _ => return value,
    };
    if n.is_multiple_of(inside.len() + 1) {
        return value;
    }
    let step = &inside[n % inside.len()];
    match value {
        Value::Object(map) => nth(&mut map[step], n / 2),
        other => nth(&mut other[step.parse::<usize>().unwrap()], n / 2),
    }
}

proptest! {
    #[test]
    fn the_schema_and_the_readers_agree_on_any_damage(
        config in config(),
        (place, damage) in (any::<usize>(), 0usize..9),
    ) {
        let mut tree = serde_json::to_value(&config).unwrap();
        let value = nth(&mut tree, place);
        match (damage, &mut *value) {
            (0, _) => {}
            (1, Value::Object(map)) => drop(map.insert("bogus".to_owned(), json!(1))),
            (2, Value::Object(map)) => drop(map.shift_remove(&map.keys().next().cloned().unwrap_or_default())),
            (3, _) => *value = Value::Null,
            (4, _) => *value = json!(-1),
            (5, _) => *value = json!("text"),
            (6, _) => *value = json!([1]),
            (7, _) => *value = json!({"a": true}),
            _ => *value = json!(1.5),
        }
        agree(&validator(), &tree.to_string());
    }
}
