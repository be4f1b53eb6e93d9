//! Containers as runc shows them: JSON objects and tables.

use forgeone_runtime::lifecycle::Listed;
use forgeone_runtime::{Error, Kind, Result};
use serde::Serialize;
use serde_json::{Value, json};

/// A container with runc's keys, in runc's order; `owner` is a name, and empty where runc has none to say.
pub(super) fn container(row: &Listed, owner: &str) -> Value {
    let mut out = json!({
        "ociVersion": row.version,
        "id": row.id,
        "pid": row.pid,
        "status": row.status,
        "bundle": row.bundle,
        "rootfs": row.rootfs,
        "created": row.created,
    });
    if !row.annotations.is_empty() {
        out["annotations"] = json!(row.annotations);
    }
    out["owner"] = owner.into();
    out
}

/// JSON on several lines, without a line end behind the last.
pub(super) fn pretty(value: &impl Serialize, indent: &[u8]) -> Result<String> {
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(indent);
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    let failed = |e: &dyn std::fmt::Display| Error::new(Kind::System, format!("write JSON: {e}"));
    value.serialize(&mut serializer).map_err(|e| failed(&e))?;
    String::from_utf8(out).map_err(|e| failed(&e))
}

/// Columns of at least 12 characters with three spaces between them; the last is as long as it is.
pub(super) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    const LEAST: usize = 12;
    const BETWEEN: usize = 3;
    let length = |text: &String| text.chars().count();
    let widest = |column: usize| rows.iter().map(|row| length(&row[column])).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(|column| (widest(column) + BETWEEN).max(LEAST)).collect();
    let mut out = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            out.push_str(cell);
            if column + 1 < N {
                out.extend(std::iter::repeat_n(' ', widths[column] - length(cell)));
            }
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_are_runcs_and_in_its_order() {
        let row =
            Listed { version: "1.3.0".into(), id: "a".into(), bundle: "/b".into(), ..Listed::default() };
        let want = concat!(
            r#"{"ociVersion":"1.3.0","id":"a","pid":0,"status":"","bundle":"/b","rootfs":"","#,
            r#""created":"","owner":"root"}"#
        );
        assert_eq!(container(&row, "root").to_string(), want);
    }

    #[test]
    fn annotations_stand_before_the_owner() {
        let mut row = Listed::default();
        row.annotations.insert("k".into(), "v".into());
        assert!(container(&row, "").to_string().ends_with(r#""annotations":{"k":"v"},"owner":""}"#));
    }

    #[test]
    fn json_is_indented_as_asked() {
        assert_eq!(pretty(&json!({ "a": 1 }), b"\t").unwrap(), "{\n\t\"a\": 1\n}");
    }
}
