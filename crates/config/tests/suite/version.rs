//! Files of every version that ever was are read as they were meant.

use forgeone_config::{config_to_string, parse_config, Format};

const ONE: &str = include_str!("version1.yaml");

#[test]
fn version_one_is_read_with_every_field() {
    let config = parse_config(ONE, Format::Yaml).unwrap();
    let text = config_to_string(&config, Format::Yaml).unwrap();
    assert!(text.starts_with("version: 1\nimage: \"nginx:1.27\"\n"), "{text}");
    // Each key of the file, in its own words.
    let keys = ONE.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
    let keys: Vec<_> =
        keys.map(|line| line.split(':').next().unwrap()).filter(|key| *key != "version").collect();
    let written = serde_json::to_value(&config).unwrap();
    let fields: Vec<_> = written.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, keys);
    // A field that is added stands in this file, too.
    let debug = format!("{config:?}");
    let known = debug.matches(": None").count();
    assert_eq!(
        known, 2,
        "fields that the file leaves out, besides a mount's options and a secret's variable: {debug}"
    );
}
