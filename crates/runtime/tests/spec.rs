//! The specification's types against the `oci-spec` crate, and what they promise beyond it.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use forgeone_runtime::json::from_slice;
use forgeone_runtime::spec::Spec;
use serde_json::{Value, json};

const FULL: &[u8] = include_bytes!("fixtures/config-full.json");

fn through_ours(value: &Value) -> Value {
    let spec: Spec = from_slice(value.to_string().as_bytes()).unwrap();
    serde_json::to_value(spec).unwrap()
}

#[test]
fn a_config_with_every_field_of_the_specification_survives_unchanged() {
    let full: Value = serde_json::from_slice(FULL).unwrap();
    assert_eq!(through_ours(&full), full);
    let spec: Spec = from_slice(FULL).unwrap();
    assert!(
        unknown(&serde_json::to_value(&spec).unwrap(), &spec).is_empty(),
        "a field is not named by the types"
    );
}

/// Top-level, process and linux fields that only `extra` holds.
fn unknown(_: &Value, spec: &Spec) -> Vec<String> {
    let linux = spec.linux.as_ref().unwrap();
    let resources = linux.resources.as_ref().unwrap();
    let extras = [
        &spec.extra,
        &spec.process.as_ref().unwrap().extra,
        &spec.root.as_ref().unwrap().extra,
        &spec.hooks.as_ref().unwrap().extra,
        &spec.mounts[0].extra,
        &linux.extra,
        &resources.extra,
        &resources.memory.as_ref().unwrap().extra,
        &resources.cpu.as_ref().unwrap().extra,
        &resources.block_io.as_ref().unwrap().extra,
        &linux.seccomp.as_ref().unwrap().extra,
        &linux.seccomp.as_ref().unwrap().syscalls[0].extra,
        &linux.intel_rdt.as_ref().unwrap().extra,
        &linux.devices[0].extra,
    ];
    extras.iter().flat_map(|extra| extra.keys().cloned()).collect()
}

#[test]
fn what_the_oracle_reads_of_a_config_we_read_alike() {
    let mut value: Value = serde_json::from_slice(FULL).unwrap();
    // Fields of 1.3 whose values the oracle knows in another spelling or not at all.
    value["linux"]["personality"] = Value::Null;
    value["linux"].as_object_mut().unwrap().remove("personality");
    let theirs: oci_spec::runtime::Spec = serde_json::from_value(value).unwrap();
    let theirs = serde_json::to_value(theirs).unwrap();
    let ours = through_ours(&theirs);
    assert_eq!(without_blanks(&ours), without_blanks(&theirs));
}

/// Fields at their defaults may be written or left out.
fn without_blanks(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().map(|(key, value)| (key.clone(), without_blanks(value)));
            let blank = |value: &Value| {
                matches!(value, Value::Null | Value::Bool(false))
                    || value == &json!("")
                    || value == &json!([])
                    || value == &json!(0)
            };
            Value::Object(kept.filter(|(_, value)| !blank(value)).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(without_blanks).collect()),
        other => other.clone(),
    }
}

#[test]
fn the_oracle_reads_what_we_write() {
    let mut value: Value = serde_json::from_slice(FULL).unwrap();
    value["linux"].as_object_mut().unwrap().remove("personality");
    let written = through_ours(&value).to_string();
    serde_json::from_str::<oci_spec::runtime::Spec>(&written).unwrap();
}

#[test]
fn unknown_fields_are_kept_at_every_level() {
    let value = json!({
        "ociVersion": "1.9.0",
        "future": {"a": [1, 2]},
        "process": {"user": {"uid": 0, "gid": 0, "new": true}, "cwd": "/", "later": "x"},
        "linux": {"resources": {"memory": {"limit": 1, "zswap": 5}}},
        "windows": {"layerFolders": ["C:\\"]},
    });
    assert_eq!(through_ours(&value), value);
}

#[test]
fn null_means_absent_as_it_does_for_the_programs_that_write_configs() {
    let value = json!({"ociVersion": "1.0.0", "process": null, "mounts": null, "hostname": null,
        "linux": {"resources": {"pids": {"limit": null}, "devices": null}, "seccomp": null}});
    let spec: Spec = from_slice(value.to_string().as_bytes()).unwrap();
    assert_eq!(spec.process, None);
    assert_eq!(spec.linux.unwrap().resources.unwrap().pids.unwrap().limit, None);
}

#[test]
fn a_wrong_type_is_named_by_its_path() {
    for (config, path) in [
        (json!({"process": {"user": {"uid": "x"}}}), "process.user.uid: "),
        (json!({"linux": {"namespaces": [{"type": "pid"}, {"type": 5}]}}), "linux.namespaces[1].type: "),
        (json!({"linux": {"resources": {"memory": {"limit": 1.5}}}}), "linux.resources.memory.limit: "),
        (json!({"mounts": {}}), "mounts: "),
        (json!({"process": {"user": {"uid": 4294967296_u64}}}), "process.user.uid: "),
        (json!({"process": {"user": {"uid": -1}}}), "process.user.uid: "),
        (json!({"hooks": {"poststop": [{"path": "/a", "args": "b"}]}}), "hooks.poststop[0].args: "),
    ] {
        let error = from_slice::<Spec>(config.to_string().as_bytes()).unwrap_err();
        assert!(error.starts_with(path), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn broken_json_says_where() {
    for text in ["", "{", "[]", "{\"ociVersion\": }", "null x", "\u{0}", "{\"a\":1}{"] {
        let error = from_slice::<Spec>(text.as_bytes()).unwrap_err();
        assert!(!error.is_empty() && !error.contains('\n'), "{text}: {error}");
    }
}
