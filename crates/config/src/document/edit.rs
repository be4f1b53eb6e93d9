//! Changes of single values in a text, which leave comments and layout as they are.

use super::{Document, Format, Node, Value};
use std::ops::Range;

/// A piece of a text, and what takes its place.
#[derive(Debug)]
pub(crate) struct Edit {
    pub(crate) range: Range<usize>,
    pub(crate) text: String,
}

/// The text with these changes, which don't overlap.
pub(crate) fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| edit.range.start);
    let mut changed = text.to_owned();
    for edit in edits.iter().rev() {
        changed.replace_range(edit.range.clone(), &edit.text);
    }
    changed
}

/// A text as a value of a format.
pub(crate) fn quoted(text: &str, format: Format) -> String {
    match format {
        Format::Yaml => super::write::word(text),
        _ => super::write::escaped(text),
    }
}

/// What makes `old` of the tree `new`, if they differ in texts and numbers alone.
pub(crate) fn between(old: &Node, new: &Node, format: Format, edits: &mut Vec<Edit>) -> bool {
    match (&old.value, &new.value) {
        (Value::List(old), Value::List(new)) => {
            old.len() == new.len() && old.iter().zip(new).all(|(old, new)| between(old, new, format, edits))
        }
        (Value::Map(old), Value::Map(new)) => {
            old.len() == new.len()
                && old
                    .iter()
                    .zip(new)
                    .all(|(old, new)| old.key == new.key && between(&old.node, &new.node, format, edits))
        }
        (Value::List(_) | Value::Map(_), _) | (_, Value::List(_) | Value::Map(_)) => false,
        _ if old.value == new.value => true,
        (_, Value::Text(text)) => {
            edits.push(Edit { range: old.at..old.end, text: quoted(text, format) });
            true
        }
        (_, Value::Int(number)) => {
            edits.push(Edit { range: old.at..old.end, text: number.to_string() });
            true
        }
        _ => false,
    }
}

/// The text of `document` with the tree `new` instead; `None` if single changes don't give it (a value that an alias
/// repeats), so that the whole has to be written anew.
pub(crate) fn rewritten(document: &Document, new: &Node, format: Format) -> Option<String> {
    let mut edits = Vec::new();
    if !between(&document.root, new, format, &mut edits) {
        return None;
    }
    let ranges = |edits: &[Edit]| edits.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start);
    edits.sort_by_key(|edit| edit.range.start);
    let inside = |edit: &Edit| document.text().get(edit.range.clone()).is_some_and(|old| !old.is_empty());
    if !ranges(&edits) || !edits.iter().all(inside) {
        return None;
    }
    let text = apply(document.text(), edits);
    let read = Document::parse(&text, format).ok()?;
    (read.root.same(new)).then_some(text)
}

impl Node {
    /// Whether it is the same value, wherever it stands.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b)),
            (Value::Map(a), Value::Map(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.key == b.key && a.node.same(&b.node))
            }
            (a, b) => a == b,
        }
    }
}
