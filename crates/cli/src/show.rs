//! How containers and images are shown: tables, JSON, templates.

use crate::parse::usage;
use forgeone_runtime::{Error, Kind, Result};
use serde_json::Value;

/// What `--format` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// Columns.
    Table,
    /// JSON.
    Json,
    /// Fields, and text between them.
    Template(Template),
}

impl Format {
    /// `table`, `json`, or text with `{{.Field}}` in it.
    ///
    /// # Errors
    /// What is none of these, or a template that can't be read.
    pub fn parse(text: Option<&str>) -> Result<Self> {
        match text {
            None | Some("table") => Ok(Self::Table),
            Some("json") => Ok(Self::Json),
            Some(text) if text.contains("{{") => Template::parse(text).map(Self::Template),
            Some(other) => Err(usage(format!(
                "option --format is table, json or a template such as {{{{.Id}}}}, not {other:?}"
            ))),
        }
    }
}

/// Text with fields in it, as Go's templates write them: `{{.Id}}`, `{{.State.Status}}`, `{{json .Config}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// The path to the value, and whether it is written as JSON.
    Field(Vec<String>, bool),
}

impl Template {
    fn parse(text: &str) -> Result<Self> {
        let wrong = |reason: &str| usage(format!("option --format: {reason}"));
        let mut pieces = Vec::new();
        let text = text.replace("\\t", "\t").replace("\\n", "\n");
        let mut rest = text.strip_prefix("table ").unwrap_or(&text);
        while let Some((before, after)) = rest.split_once("{{") {
            pieces.push(Piece::Text(before.to_owned()));
            let (inside, behind) = after.split_once("}}").ok_or_else(|| wrong("a {{ isn't closed"))?;
            let inside = inside.trim();
            let (path, json) =
                inside.strip_prefix("json ").map_or((inside, false), |path| (path.trim(), true));
            let path = path.strip_prefix('.').ok_or_else(|| {
                wrong(&format!("{{{{{inside}}}}} is no field such as {{{{.Id}}}} or {{{{json .}}}}"))
            })?;
            let path = path.split('.').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            pieces.push(Piece::Field(path, json));
            rest = behind;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self { pieces })
    }

    /// The text for a value.
    ///
    /// # Errors
    /// A field that isn't there.
    pub fn render(&self, value: &Value) -> Result<String> {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Field(path, json) => {
                    let found = lookup(value, path)?;
                    match (json, found) {
                        (false, Value::String(text)) => out.push_str(text),
                        (false, Value::Null) => {}
                        (_, found) => out.push_str(&found.to_string()),
                    }
                }
            }
        }
        Ok(out)
    }
}

fn lookup<'a>(value: &'a Value, path: &[String]) -> Result<&'a Value> {
    let mut at = value;
    for name in path {
        at = match at {
            Value::Object(map) => {
                let alike = || map.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                let found = map.get(name).or_else(|| alike().map(|(_, value)| value));
                found.ok_or_else(|| {
                    let known = map.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                    usage(format!("option --format: there is no {name}; there are {known}"))
                })?
            }
            _ => &Value::Null,
        };
    }
    Ok(at)
}

/// Several values in one of the formats; the table's rows have its titles first.
///
/// # Errors
/// A field that a value hasn't.
pub fn rows(format: &Format, titles: &[&str], rows: &[(Vec<String>, Value)]) -> Result<String> {
    match format {
        Format::Table => {
            let titles = titles.iter().map(|title| (*title).to_owned()).collect();
            let all: Vec<_> =
                std::iter::once(titles).chain(rows.iter().map(|(cells, _)| cells.clone())).collect();
            Ok(table(&all))
        }
        Format::Json => pretty(&Value::Array(rows.iter().map(|(_, value)| value.clone()).collect())),
        Format::Template(template) => {
            rows.iter().map(|(_, value)| Ok(template.render(value)? + "\n")).collect()
        }
    }
}

/// JSON on several lines.
///
/// # Errors
/// None that a value can have.
pub fn pretty(value: &Value) -> Result<String> {
    let text = serde_json::to_string_pretty(value);
    text.map(|text| text + "\n").map_err(|e| Error::new(Kind::System, format!("write JSON: {e}")))
}

/// Columns with two spaces between them.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let length = |text: &str| text.chars().count();
    let widest = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| length(cell)).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(widest).collect();
    let mut out = String::new();
    for row in rows {
        let start = out.len();
        for (cell, width) in row.iter().zip(&widths) {
            out.push_str(cell);
            out.extend(std::iter::repeat_n(' ', width - length(cell) + 2));
        }
        out.truncate(start + out[start..].trim_end().len());
        out.push('\n');
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn templates_show_fields() {
        let value = json!({ "Id": "abc", "ID": "a", "State": { "Pid": 7, "Error": null }, "Names": ["web"] });
        let render = |text: &str| match Format::parse(Some(text)).unwrap() {
            Format::Template(template) => template.render(&value).map_err(|e| e.to_string()),
            _ => panic!("{text}"),
        };
        assert_eq!(render("{{.Id}}\\t{{ .State.Pid }}{{.State.Error}}").unwrap(), "abc\t7");
        // The very name before one that differs by its letters' case.
        assert_eq!(render("{{.ID}} {{.Id}} {{.id}}").unwrap(), "a abc abc");
        assert_eq!(render("{{json .Names}} {{json .State}}").unwrap(), r#"["web"] {"Pid":7,"Error":null}"#);
        assert_eq!(
            render("{{.Nothing}}").unwrap_err(),
            "option --format: there is no Nothing; there are Id, ID, State, Names"
        );
        for wrong in ["{{.Id", "{{Id}}", "{{range .Names}}"] {
            assert!(Format::parse(Some(wrong)).is_err(), "{wrong}");
        }
        assert!(Format::parse(Some("xml")).is_err());
    }
}
