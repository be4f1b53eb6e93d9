//! What the probe saw, made comparable: as under another runtime, field by field.
//!
//! Namespaces are inode numbers, which differ at each start. [`relative_to`] turns them into `"same"` and
//! `"new"`, as seen from the process that started the container; two runtimes then agree or they don't.

use crate::programs;
use serde_json::{Value, json};
use std::process::{Command, Stdio};

/// What the probe sees here, outside of any container.
pub fn host() -> Value {
    let mut command = Command::new(programs::probe());
    let output = command.stdin(Stdio::null()).output().expect("run the probe");
    serde_json::from_slice(&output.stdout).expect("the probe speaks JSON")
}

/// Replaces each namespace by whether it is the one that `host` saw.
pub fn relative_to(host: &Value, mut seen: Value) -> Value {
    let namespaces = seen["namespaces"].as_object_mut().into_iter().flatten();
    for (kind, inode) in namespaces {
        *inode = json!(if host["namespaces"][kind] == *inode { "same" } else { "new" });
    }
    seen
}

/// All places where two values differ, as `/pointer: left != right`, but for those below a pointer in `except`.
pub fn differences(left: &Value, right: &Value, except: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    compare(String::new(), left, right, except, &mut found);
    found
}

fn compare(at: String, left: &Value, right: &Value, except: &[&str], found: &mut Vec<String>) {
    if left == right || except.contains(&at.as_str()) {
        return;
    }
    match (left, right) {
        (Value::Object(a), Value::Object(b)) => {
            let more = b.keys().filter(|key| !a.contains_key(*key));
            for key in a.keys().chain(more) {
                compare(format!("{at}/{key}"), &left[key], &right[key], except, found);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for index in 0..a.len().max(b.len()) {
                let item = |list: &[Value]| list.get(index).cloned().unwrap_or_default();
                compare(format!("{at}/{index}"), &item(a), &item(b), except, found);
            }
        }
        _ => found.push(format!("{at}: {left} != {right}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_told_by_place() {
        let left = json!({ "a": 1, "b": [1, 2], "c": { "d/e": null }, "f": 7 });
        let right = json!({ "a": 1, "b": [1], "c": { "d/e": "x" }, "g": 8 });
        let found = differences(&left, &right, &["/f"]);
        assert_eq!(found, ["/b/1: 2 != null", "/c/d/e: null != \"x\"", "/g: null != 8"]);
        assert!(differences(&left, &left, &[]).is_empty());
    }

    #[test]
    fn the_host_is_in_its_own_namespaces() {
        let host = host();
        let seen = relative_to(&host, host.clone());
        assert_eq!(seen["namespaces"]["mnt"], "same");
        assert!(seen["process"]["pid"].as_i64().is_some());
        assert!(seen["dev"]["/dev/null"]["device"] == "1:3", "{:#}", seen["dev"]["/dev/null"]);
        let other = relative_to(&json!({ "namespaces": { "mnt": "mnt:[1]" } }), host);
        assert_eq!(other["namespaces"]["mnt"], "new");
    }
}
