//! Differences lead from one configuration to the other.

use crate::arbitrary::config;
use forgeone_config::{diff_configs, json_patch, parse_config, Format};
use proptest::prelude::*;
use serde_json::Value;

/// RFC 6902, the three operations that are used.
fn apply(target: &mut Value, operation: &Value) {
    let path = operation["path"].as_str().unwrap();
    let (parent, last) = path.rsplit_once('/').unwrap();
    let last = last.replace("~1", "/").replace("~0", "~");
    let new = operation.get("value").cloned();
    match (target.pointer_mut(parent).unwrap(), operation["op"].as_str().unwrap()) {
        (Value::Object(map), "remove") => drop(map.remove(&last).unwrap()),
        (Value::Object(map), "add") => assert_eq!(map.insert(last, new.unwrap()), None),
        (Value::Object(map), "replace") => drop(map.insert(last, new.unwrap()).unwrap()),
        (Value::Array(items), "remove") => drop(items.remove(last.parse().unwrap())),
        (Value::Array(items), "add") => items.insert(last.parse().unwrap(), new.unwrap()),
        (Value::Array(items), "replace") => items[last.parse::<usize>().unwrap()] = new.unwrap(),
        (other, op) => panic!("{op} in {other}"),
    }
}

proptest! {
    #[test]
    fn the_patch_makes_the_second_of_the_first(old in config(), new in config()) {
        let changes = diff_configs(&old, &new).unwrap();
        prop_assert_eq!(changes.is_empty(), old == new);
        let mut tree = serde_json::to_value(&old).unwrap();
        for operation in json_patch(&changes).as_array().unwrap() {
            apply(&mut tree, operation);
        }
        // serde_json's objects are equal in any order.
        prop_assert_eq!(tree, serde_json::to_value(&new).unwrap());
    }
}

#[test]
fn differences_are_told_by_path() {
    let yaml = |text| parse_config(text, Format::Yaml).unwrap();
    let old = yaml(
        "{image: a, args: [x, y, z], labels: {a.b: '1', c/d: '2'}, network: {mode: bridge, dns: [10.0.0.1]}}",
    );
    let new = yaml("{image: b, args: [x], labels: {a.b: '2'}, network: {mode: bridge, dns: [10.0.0.1, 10.0.0.2]}, tty: true}");
    let lines: Vec<_> = diff_configs(&old, &new).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "- image: \"a\"\n+ image: \"b\"",
            "- args[2]: \"z\"",
            "- args[1]: \"y\"",
            "+ network.dns[1]: \"10.0.0.2\"",
            "- labels.a.b: \"1\"\n+ labels.a.b: \"2\"",
            "- labels.c/d: \"2\"",
            "+ tty: true",
        ]
    );
    let changes = diff_configs(&old, &new).unwrap();
    assert_eq!(json_patch(&changes)[5], serde_json::json!({"op": "remove", "path": "/labels/c~1d"}));
}
