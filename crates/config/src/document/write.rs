//! The writers of JSON and YAML.

use serde_json::Value;
use std::fmt::Write;

/// JSON, indented by two.
pub(super) fn json(tree: &Value) -> String {
    format!("{tree:#}\n")
}

/// YAML in block style; a text is quoted, as in JSON, unless nobody could take it for something else.
pub(super) fn yaml(tree: &Value) -> String {
    let mut text = String::new();
    block(tree, 0, &mut text);
    text.trim_start_matches('\n').to_owned()
}

/// Writes a value behind its key or dash: on the same line, or below it.
fn block(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let _ = write!(text, "\n{:indent$}{}:", "", word(key));
                block(value, indent + 2, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let _ = write!(text, "\n{:indent$}-", "");
                let start = text.len();
                block(item, indent + 2, text);
                // The first key stands behind the dash.
                if text[start..].starts_with('\n') {
                    text.replace_range(start..start + indent + 3, " ");
                }
            }
        }
        Value::String(string) => {
            let _ = write!(text, " {}", word(string));
        }
        other => {
            let _ = write!(text, " {other}");
        }
    }
    if indent == 0 {
        text.push('\n');
    }
}

/// A text as YAML reads it back.
pub(crate) fn word(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "/_.-+=@".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_ascii_lowercase().as_str());
    if plain {
        return text.to_owned();
    }
    escaped(text)
}

/// A text in double quotes, as each of the formats reads it back: JSON's escapes are those of YAML and TOML, and what
/// these don't allow unescaped is escaped, too.
pub(crate) fn escaped(text: &str) -> String {
    let mut quoted = String::new();
    for c in Value::from(text).to_string().chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            _ => quoted.push(c),
        }
    }
    quoted
}
