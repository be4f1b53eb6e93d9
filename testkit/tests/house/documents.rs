//! What the documents promise is so: seed nouns have a place, named tests exist, the README opens as it must.

use crate::{manifests, sources};
use std::collections::BTreeSet;
use std::fs;
use testkit::programs::workspace;

/// Every noun of the first seed, and every file of the second.
const NOUNS: &[&str] = &[
    "attestation",
    "config",
    "contract",
    "dna",
    "engine",
    "fs",
    "lifecycle",
    "mesh",
    "metrics",
    "network",
    "registry",
    "rpc",
    "runtime",
    "scheduler",
    "security",
    "state",
    "main.go",
    "container.go",
    "config.go",
    "oci.go",
    "oci_cli.go",
    "security_hardening.go",
    "validation.go",
    "errors.go",
    "memory_pool.go",
    "resource_manager.go",
    "cni.go",
    "storage_drivers.go",
    "cleanup.go",
    "utils.go",
    "checkpoint.go",
    "runtime_hooks.go",
    "monitoring_recovery.go",
    "dependency_injection.go",
    "metrics.go",
    "signals.go",
    "plugin.go",
    "plugin_registry.go",
    "plugin_events.go",
    "plugin_security.go",
    "plugin_integration.go",
    "example_plugins.go",
    "test.go",
    "enhanced_container_test.go",
];

/// Rows `| noun | path | state | … |` of a document's tables, as cells.
fn rows(document: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(workspace().join(document)).unwrap();
    let lines = text.lines().filter(|line| line.starts_with('|'));
    lines.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// The pieces of a cell in backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_seed_noun_has_a_path_that_exists_or_is_planned() {
    let rows = rows("docs/ARCHITECTURE.md");
    for noun in NOUNS {
        let row = rows.iter().find(|row| quoted(&row[0]) == [*noun]);
        let row = row.unwrap_or_else(|| panic!("docs/ARCHITECTURE.md has no row for `{noun}`"));
        let (paths, state) = (quoted(&row[1]), row[2].as_str());
        assert!(!paths.is_empty(), "`{noun}` has no path");
        let there = |path: &&str| workspace().join(path).exists();
        match state {
            "built" => assert!(paths.iter().all(there), "`{noun}` is said to be built: {paths:?}"),
            "planned" => {
                assert!(!paths.iter().all(there), "`{noun}` is there and said to be planned: {paths:?}")
            }
            _ => panic!("`{noun}` is neither built nor planned, but {state}"),
        }
    }
}

#[test]
fn every_security_case_names_a_test_that_exists_or_is_open() {
    let sources = sources::sources();
    let exists = |name: &str| sources.iter().any(|(_, text)| text.contains(&format!("fn {name}(")));
    let rows = rows("docs/security.md");
    let cases = rows.iter().skip_while(|row| row.last().is_none_or(|cell| cell != "shown by")).skip(2);
    let cases: Vec<_> = cases.take_while(|row| row.len() == 3).collect();
    assert!(cases.len() > 10, "the table of cases is not found");
    for row in cases {
        let tests = quoted(&row[2]);
        assert!(row[2] == "open" || !tests.is_empty(), "{}: neither a test nor open", row[0]);
        let missing: Vec<_> = tests.into_iter().filter(|name| !exists(name)).collect();
        assert!(missing.is_empty(), "{}: no such test: {missing:?}", row[0]);
    }
}

/// A name in backticks that reads like a test's: small words, at least four.
#[test]
fn every_test_that_the_security_document_names_exists() {
    let sources = sources::sources();
    let exists = |name: &str| sources.iter().any(|(_, text)| text.contains(&format!("fn {name}(")));
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let text = fs::read_to_string(workspace().join("docs/security.md")).unwrap();
    let names = quoted(&text).into_iter();
    let names: Vec<_> =
        names.filter(|name| name.matches('_').count() >= 3 && name.chars().all(word)).collect();
    assert!(names.len() > 50, "names are not found");
    let missing: Vec<_> = names.iter().filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "no such test: {missing:?}");
}

#[test]
fn every_dependency_has_its_reason_and_every_reason_its_dependency() {
    let rows = rows("docs/ARCHITECTURE.md");
    let reasons = rows.iter().skip_while(|row| *row != &["crate", "why"]).skip(2);
    let reasons = reasons.take_while(|row| row.len() == 2 && row[0].starts_with('`'));
    let explained: BTreeSet<_> = reasons.flat_map(|row| quoted(&row[0])).map(str::to_owned).collect();
    let fuzz = fs::read_to_string(workspace().join("fuzz/Cargo.toml")).unwrap();
    let used: BTreeSet<_> = manifests::dependencies()
        .into_iter()
        .chain(manifests::door().into_iter().map(|(name, _)| name))
        .chain(fuzz.contains("\nlibfuzzer-sys = ").then(|| "libfuzzer-sys".to_owned()))
        .filter(|name| !name.starts_with("forgeone") && name != "testkit")
        .collect();
    assert_eq!(explained, used, "docs/ARCHITECTURE.md has a reason for the left, used are the right");
}

#[test]
fn the_readme_opens_with_the_two_commands() {
    let text = fs::read_to_string(workspace().join("README.md")).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).take(5).collect();
    assert!(lines[0].starts_with("# ") && lines[1].starts_with("```"), "{lines:?}");
    assert!(lines[2].starts_with("make run") && lines[3].starts_with("make test"), "{lines:?}");
}
