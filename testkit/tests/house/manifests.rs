//! Who may depend on whom: arrows point down only, siblings don't know each other.
//!
//! ```text
//! bins ──► L2 image node wasm microvm ──► cli ──► L1 runtime ──► L0 sys config trust distribution
//! ```

use serde_json::Value;
use std::collections::BTreeMap;
use testkit::programs;

/// Where a package stands; higher ones may depend on lower ones.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Layer {
    L0,
    L1,
    /// The command line, which all programs share.
    Line,
    L2,
    Bin,
    /// What tests share: a dev-dependency of everybody.
    Kit,
    /// The end-to-end tests and the benchmark.
    Suite,
}
use Layer::{Bin, Kit, L0, L1, L2, Line, Suite};

/// Every package of the workspace, and the packages of the workspace that it may depend on.
/// One that isn't here has no place in the house yet.
const HOUSE: &[(&str, Layer, &[&str])] = &[
    ("forgeone-sys", L0, &[]),
    ("forgeone-distribution", L0, &[]),
    ("forgeone-config", L0, &["forgeone-distribution"]),
    ("forgeone-trust", L0, &["forgeone-config"]),
    ("forgeone-runtime", L1, &["forgeone-sys", "forgeone-config", "forgeone-trust"]),
    ("forgeone-cli", Line, &["forgeone-sys", "forgeone-runtime"]),
    (
        "forgeone-image",
        L2,
        &["forgeone-cli", "forgeone-sys", "forgeone-config", "forgeone-distribution", "forgeone-runtime"],
    ),
    ("forgeone-node", L2, &["forgeone-sys", "forgeone-config", "forgeone-trust", "forgeone-runtime"]),
    ("forgeone-wasm", L2, &["forgeone-sys", "forgeone-config", "forgeone-runtime"]),
    ("forgeone-microvm", L2, &["forgeone-sys", "forgeone-config", "forgeone-runtime"]),
    (
        "forgeone",
        Bin,
        &["forgeone-cli", "forgeone-sys", "forgeone-config", "forgeone-trust", "forgeone-runtime"],
    ),
    ("forgeone-standalone", Bin, &["forgeone-cli", "forgeone-sys", "forgeone-config", "forgeone-runtime"]),
    ("testkit", Kit, &["forgeone-sys"]),
    ("forgeone-tests", Suite, &["forgeone-sys", "forgeone-runtime"]),
    ("forgeone-benches", Suite, &["forgeone-sys", "forgeone-runtime", "testkit"]),
];

/// The two edges between siblings that DESIGN allows, both in L0.
const SIBLINGS: &[(&str, &str)] =
    &[("forgeone-trust", "forgeone-config"), ("forgeone-config", "forgeone-distribution")];

/// Crates that only `forgeone-sys` may use: everybody else speaks to the kernel through it.
const KERNEL: &[&str] = &["libc", "rustix", "nix", "linux-raw-sys"];

/// What the door must not link, by name or, with a `*`, by the beginning or end of a name.
/// Heavy crates cost tenths of a millisecond at each start even if nothing of them is called.
const NOT_IN_THE_DOOR: &[&str] = &[
    "tokio*",
    "mio",
    "hyper*",
    "h2",
    "axum*",
    "tonic*",
    "reqwest",
    "async-*",
    "futures*",
    "smol",
    "zbus*",
    "wasmtime*",
    "cranelift*",
    "wasmparser",
    "rustls*",
    "ring",
    "openssl*",
    "native-tls",
    "aws-lc*",
    "sigstore*",
    "clap*",
    "serde_yaml*",
    "serde-saphyr",
    "saphyr*",
    "toml*",
    "tar",
    "flate2",
    "miniz_oxide",
    "zstd*",
    "bzip2*",
    "xz2",
    "lzma*",
    "brotli*",
    "libseccomp*",
    "seccompiler",
    "oci-spec",
    "regex*",
    "chrono",
    "tracing*",
    "log",
    "prost*",
    "protobuf*",
    "redb",
    "schemars*",
    "jsonschema*",
    "minijinja*",
    "age*",
    "cel*",
    "pathrs",
    "*-sys",
];

/// Pure Rust in spite of the name.
const SYS_BUT_RUST: &[&str] = &["forgeone-sys", "linux-raw-sys"];

#[test]
fn the_table_itself_points_down_only() {
    let layers: BTreeMap<_, _> = HOUSE.iter().map(|(name, layer, _)| (*name, *layer)).collect();
    for (name, layer, edges) in HOUSE {
        for edge in *edges {
            let down = layers[edge] < *layer;
            assert!(down || SIBLINGS.contains(&(name, edge)), "{name} -> {edge} does not point down");
        }
    }
}

#[test]
fn manifests_have_only_the_edges_of_the_table() {
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        let Some((_, _, edges)) = HOUSE.iter().find(|(known, _, _)| *known == name) else {
            panic!("{name} has no place in the house: add it to the table, with its layer and edges");
        };
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = dependency["name"].as_str().unwrap();
            let ours = dependency["path"].is_string();
            let for_tests = dependency["kind"] == "dev" && to == "testkit";
            assert!(!ours || for_tests || edges.contains(&to), "{name} -> {to} is not in the table");
        }
    }
}

#[test]
fn only_sys_depends_on_the_crates_of_the_kernel() {
    for package in packages() {
        for dependency in package["dependencies"].as_array().unwrap() {
            let (from, to) = (package["name"].as_str().unwrap(), dependency["name"].as_str().unwrap());
            assert!(from == "forgeone-sys" || !KERNEL.contains(&to), "{from} -> {to}: only forgeone-sys may");
        }
    }
}

#[test]
fn the_door_stays_lean() {
    let heavy: Vec<_> = door().into_iter().map(|(name, _)| name).filter(|name| denied(name)).collect();
    assert!(heavy.is_empty(), "the door links {heavy:?}");
}

/// What is for tests alone is compiled in by features, `faults` and `fuzz`.
#[test]
fn the_door_is_built_without_what_is_for_tests() {
    let ours = door().into_iter().filter(|(name, _)| name.starts_with("forgeone"));
    let with: Vec<_> = ours.filter(|(_, features)| !features.is_empty()).collect();
    assert!(with.is_empty(), "the door is built with {with:?}");
}

/// Every package that the door is made of, and the features that it is built with.
pub(crate) fn door() -> Vec<(String, Vec<String>)> {
    let mut tree = programs::cargo();
    tree.args(["tree", "--locked", "--offline", "--package", "forgeone", "--edges", "normal"]);
    let output = tree.args(["--prefix", "none", "--format", "{p}|{f}|"]).output().unwrap();
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let package = |line: &str| {
        let (name, features) = (line.split(' ').next()?, line.split('|').nth(1)?);
        let features = features.split(',').filter(|feature| !feature.is_empty());
        Some((name.to_owned(), features.map(str::to_owned).collect()))
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let all: Vec<_> = text.lines().filter_map(package).collect();
    assert!(all.iter().any(|(name, _)| name == "forgeone-sys"), "{text}");
    all
}

/// What the packages of the workspace depend on, for tests too.
pub(crate) fn dependencies() -> Vec<String> {
    let all = packages();
    let all = all.iter().flat_map(|package| package["dependencies"].as_array().unwrap());
    all.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect()
}

fn denied(name: &str) -> bool {
    let fits = |pattern: &&str| match (pattern.strip_suffix('*'), pattern.strip_prefix('*')) {
        (Some(beginning), _) => name.starts_with(beginning),
        (_, Some(end)) => name.ends_with(end),
        _ => name == *pattern,
    };
    !SYS_BUT_RUST.contains(&name) && NOT_IN_THE_DOOR.iter().any(fits)
}

#[test]
fn the_deny_list_is_read_as_it_is_meant() {
    let heavy = ["tokio", "tokio-util", "zstd-sys", "bzip2-sys", "clap_builder", "ring", "async-trait"];
    assert!(heavy.iter().all(|name| denied(name)));
    let lean = ["forgeone-sys", "linux-raw-sys", "serde_json", "lexopt", "logos"];
    assert!(!lean.iter().any(|name| denied(name)));
}

/// The workspace's packages, as `cargo metadata` tells them.
fn packages() -> Vec<Value> {
    let mut metadata = programs::cargo();
    metadata.args(["metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"]);
    let output = metadata.output().unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}
