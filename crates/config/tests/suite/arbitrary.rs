//! Any configuration, valid or not: fields are chosen and filled at random.

use forgeone_config::ContainerConfig;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{json, Value};

/// Texts with whatever may be in them but NUL.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{0,3}",
        "[ -~]{0,6}",
        Just("yes".to_owned()),
        Just("1.5".to_owned()),
        Just("\u{85}\u{2028}\u{feff}\t\r\n".to_owned()),
        any::<String>().prop_map(|text| text.replace('\0', "0")),
    ]
}

fn map() -> impl Strategy<Value = Value> {
    btree_map(text(), text(), 0..4).prop_map(|map| json!(map))
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..4, any::<u64>(), Just(u64::MAX)]
}

/// A short word, so that two configurations often name the same thing.
fn place() -> impl Strategy<Value = Value> {
    prop_oneof![Just("a"), Just("b"), Just("c")].prop_map(|place| json!(place))
}

fn float() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("JSON has finite numbers", |number| number.is_finite())
}

/// An object of these fields, each of which may be missing.
fn object(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> impl Strategy<Value = Value> {
    let fields = fields.into_iter().map(|(key, value)| (Just(key), proptest::option::of(value)));
    fields.collect::<Vec<_>>().prop_map(|fields| {
        let there = fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        Value::Object(there.collect())
    })
}

/// The same with fields that are never missing.
fn with(
    required: impl Strategy<Value = Value>,
    optional: Vec<(&'static str, BoxedStrategy<Value>)>,
) -> impl Strategy<Value = Value> {
    (required, object(optional)).prop_map(|(mut required, optional)| {
        required.as_object_mut().unwrap().extend(optional.as_object().unwrap().clone());
        required
    })
}

fn mount() -> impl Strategy<Value = Value> {
    let kind = prop_oneof![Just("bind"), Just("volume"), Just("tmpfs"), Just("custom")];
    let required = place().prop_map(|place| json!({ "destination": place }));
    with(
        required,
        vec![
            ("source", text().prop_map(Value::from).boxed()),
            ("mount_type", kind.prop_map(Value::from).boxed()),
            ("read_only", any::<bool>().prop_map(Value::from).boxed()),
            ("options", vec(text(), 0..3).prop_map(Value::from).boxed()),
        ],
    )
}

fn port() -> impl Strategy<Value = Value> {
    let protocol = prop_oneof![Just("tcp"), Just("udp"), Just("sctp")];
    let required = (1u16..3, any::<u16>())
        .prop_map(|(host, inside)| json!({"host_port": host, "container_port": inside}));
    with(required, vec![("protocol", protocol.prop_map(Value::from).boxed()), ("host_ip", place().boxed())])
}

fn network() -> impl Strategy<Value = Value> {
    let mode = prop_oneof![Just("bridge"), Just("host"), Just("none"), Just("container"), Just("custom")];
    let words = || vec(text(), 0..3).prop_map(Value::from).boxed();
    with(
        mode.prop_map(|mode| json!({ "mode": mode })),
        vec![
            ("name", text().prop_map(Value::from).boxed()),
            ("ip_address", text().prop_map(Value::from).boxed()),
            ("hostname", text().prop_map(Value::from).boxed()),
            ("dns", words()),
            ("dns_search", words()),
            ("extra_hosts", map().boxed()),
            ("options", map().boxed()),
            ("ports", vec(port(), 0..4).prop_map(Value::from).boxed()),
        ],
    )
}

fn limits() -> impl Strategy<Value = Value> {
    object(vec![
        ("cpu_cores", float().prop_map(Value::from).boxed()),
        ("memory_bytes", number().prop_map(Value::from).boxed()),
        ("disk_bytes", number().prop_map(Value::from).boxed()),
        ("network_bps", number().prop_map(Value::from).boxed()),
    ])
}

fn blkio() -> impl Strategy<Value = Value> {
    let rates = || {
        let rate = (place(), number()).prop_map(|(path, rate)| json!({"path": path, "rate": rate}));
        vec(rate, 0..3).prop_map(Value::from).boxed()
    };
    object(vec![
        ("weight", number().prop_map(Value::from).boxed()),
        ("device_read_bps", rates()),
        ("device_write_iops", rates()),
    ])
}

fn healthcheck() -> impl Strategy<Value = Value> {
    let period = || number().prop_map(|millis| format!("{}ms", millis / 2).into()).boxed();
    with(
        vec(text(), 0..3).prop_map(|test| json!({ "test": test })),
        vec![
            ("interval", period()),
            ("timeout", period()),
            ("retries", any::<u32>().prop_map(Value::from).boxed()),
        ],
    )
}

fn field() -> impl Strategy<Value = (&'static str, Value)> {
    const TEXTS: &[&str] = &[
        "image",
        "name",
        "command",
        "working_dir",
        "user",
        "pid",
        "ipc",
        "stop_signal",
        "cpuset",
        "userns_mode",
        "uts",
        "cgroup",
        "platform",
    ];
    const NUMBERS: &[&str] =
        &["shm_size", "pids_limit", "cpu_shares", "cpu_quota", "cpu_period", "mem_reservation"];
    const WORDS: &[&str] = &["args", "trusted_issuers", "group_add", "cap_add", "cap_drop", "security_opt"];
    const MAPS: &[&str] = &["env", "labels", "annotations", "custom", "sysctls", "engine_options"];
    let restart = prop_oneof![Just("no"), Just("always"), Just("unless-stopped"), Just("on-failure:3")];
    let mode = prop_oneof![Just("native"), Just("wasm"), Just("microvm"), Just("agent")];
    let device = with(
        place().prop_map(|place| json!({ "source": place })),
        vec![("target", place().boxed()), ("permissions", text().prop_map(Value::from).boxed())],
    );
    let secret = with(
        place().prop_map(|place| json!({ "name": place })),
        vec![("file", text().prop_map(Value::from).boxed())],
    );
    let volume = with(
        (text(), place()).prop_map(|(name, path)| json!({"name": name, "path": path})),
        vec![("driver", text().prop_map(Value::from).boxed()), ("options", map().boxed())],
    );
    let ulimits = btree_map(text(), (number(), number()), 0..3).prop_map(|map| {
        let limits = map.into_iter().map(|(name, (soft, hard))| (name, json!({"soft": soft, "hard": hard})));
        Value::Object(limits.collect())
    });
    prop_oneof![
        (proptest::sample::select(TEXTS), text().prop_map(Value::from)),
        (proptest::sample::select(WORDS), vec(text(), 0..4).prop_map(Value::from)),
        (proptest::sample::select(MAPS), map()),
        (Just("minimum_entropy"), float().prop_map(Value::from)),
        (Just("resource_limits"), limits()),
        (Just("network"), network()),
        (Just("healthcheck"), healthcheck()),
        (Just("mounts"), vec(mount(), 0..4).prop_map(Value::from)),
        (Just("volumes"), vec(volume, 0..4).prop_map(Value::from)),
        (Just("devices"), vec(device, 0..4).prop_map(Value::from)),
        (Just("secrets"), vec(secret, 0..4).prop_map(Value::from)),
        (Just("ulimits"), ulimits),
        (Just("exec_mode"), mode.prop_map(Value::from)),
        (Just("restart"), restart.prop_map(Value::from)),
        (Just("stop_grace_period"), number().prop_map(|millis| json!(format!("{}ms", millis / 2)))),
        (proptest::sample::select(&["tty", "init", "read_only"][..]), any::<bool>().prop_map(Value::from)),
        (proptest::sample::select(NUMBERS), number().prop_map(Value::from)),
        (Just("oom_score_adj"), any::<i64>().prop_map(Value::from)),
        (Just("blkio_config"), blkio()),
        (
            Just("logging"),
            object(vec![("driver", text().prop_map(Value::from).boxed()), ("options", map().boxed())])
        ),
        (
            Just("pull_policy"),
            prop_oneof![Just("missing"), Just("always"), Just("never")].prop_map(Value::from)
        ),
    ]
}

/// Any configuration.
pub(crate) fn config() -> impl Strategy<Value = ContainerConfig> {
    vec(field(), 0..8).prop_map(|fields| {
        let fields = fields.into_iter().map(|(key, value)| (key.to_owned(), value));
        serde_json::from_value(Value::Object(fields.collect())).unwrap()
    })
}
