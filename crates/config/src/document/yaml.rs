//! The YAML reader: YAML 1.2 with the core schema, one document. Keys are strings. Aliases are copied within the budget
//! of values; tags of one's own are refused, since they would change meanings, and so is `<<`, since YAML 1.2 has no
//! merging, unless who wrote the text counts on it.

use super::{Budget, Entry, Fault, Keys, Node, Value};
use granit_parser::{Event, Parser, ScalarStyle, Span};
use std::collections::HashMap;
use std::ops::Range;

/// Reads a text that is one YAML document.
pub(super) fn read(text: &str) -> Result<Node, Fault> {
    Reader::new(text, false).document()
}

/// The same of others' texts, in which `<<: *anchor` and `<<: [*a, *b]` merge as YAML 1.1 has it
/// (<https://yaml.org/type/merge.html>): what an object says itself wins, then what comes first.
#[cfg(feature = "convert")]
pub(super) fn read_merging(text: &str) -> Result<Node, Fault> {
    Reader::new(text, true).document()
}

struct Reader<'a> {
    text: &'a str,
    events: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    budget: Budget,
    merging: bool,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, merging: bool) -> Self {
        let (events, budget) = (Parser::new_from_str(text), Budget::default());
        Self { text, events, anchors: HashMap::new(), budget, merging }
    }

    fn document(mut self) -> Result<Node, Fault> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            let at = span.start;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event if root.is_none() => root = Some(self.node(event, span)?),
                _ => return Err(Fault::syntax(at, "a second document; a configuration is one")),
            }
        }
        // An empty text is an empty configuration, as an empty object is.
        let nothing = || Node { at: 0, end: 0, value: Value::Map(Vec::new()) };
        Ok(root.filter(|root| !matches!(root.value, Value::Null)).unwrap_or_else(nothing))
    }

    /// The next event, and where it stands.
    fn next(&mut self) -> Result<(Event<'a>, Range<usize>), Fault> {
        match self.events.next() {
            Some(Ok((event, span))) => Ok((event, range(self.text, &span))),
            Some(Err(e)) => Err(Fault::syntax(e.marker().byte_offset().unwrap_or(self.text.len()), e.info())),
            None => Ok((Event::StreamEnd, self.text.len()..self.text.len())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Range<usize>) -> Result<Node, Fault> {
        let (at, end) = (span.start, span.end);
        self.budget.node(at)?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let forced = tagged(tag.as_deref(), &["str"], at)?;
                let plain = style == ScalarStyle::Plain && !forced;
                (if plain { scalar(&text) } else { Value::Text(text.into_owned()) }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                tagged(tag.as_deref(), &["seq"], at)?;
                (self.list(at)?, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                tagged(tag.as_deref(), &["map"], at)?;
                (self.map(at)?, anchor)
            }
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id) else {
                    return Err(Fault::syntax(at, "an alias within what it names"));
                };
                let value = node.value.clone();
                self.count(&value, at)?;
                (value, 0)
            }
            _ => return Err(Fault::syntax(at, "expected a value")),
        };
        let node = Node { at, end, value };
        if anchor > 0 {
            // A copy is kept of it.
            self.count(&node.value, at)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// Counts what is below a value that is there once more.
    fn count(&mut self, value: &Value, at: usize) -> Result<(), Fault> {
        self.budget.enter(at)?;
        match value {
            Value::Text(text) => self.budget.text(text, at)?,
            Value::List(items) => {
                for node in items {
                    self.budget.node(at)?;
                    self.count(&node.value, at)?;
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    self.budget.node(at)?;
                    self.budget.text(&entry.key, at)?;
                    self.count(&entry.node.value, at)?;
                }
            }
            _ => {}
        }
        self.budget.leave();
        Ok(())
    }

    fn list(&mut self, at: usize) -> Result<Value, Fault> {
        self.budget.enter(at)?;
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => break,
                (event, span) => items.push(self.node(event, span)?),
            }
        }
        self.budget.leave();
        Ok(Value::List(items))
    }

    fn map(&mut self, at: usize) -> Result<Value, Fault> {
        self.budget.enter(at)?;
        let (mut entries, mut merged, mut keys) = (Vec::new(), Vec::new(), Keys::default());
        loop {
            let (key, at) = match self.next()? {
                (Event::MappingEnd, _) => break,
                (Event::Scalar(key, ScalarStyle::Plain, ..), Range { start: at, .. }) if key == "<<" => {
                    if self.merging {
                        keys.add(&key, at)?;
                        let (event, span) = self.next()?;
                        merged = to_merge(self.node(event, span)?)?;
                        continue;
                    }
                    let message = "<< is no merging in YAML 1.2; a second file is for that";
                    return Err(Fault::syntax(at, message));
                }
                (Event::Scalar(key, _, 0, None), Range { start: at, .. }) => (key.into_owned(), at),
                (_, Range { start: at, .. }) => {
                    return Err(Fault::syntax(at, "a key is a plain or quoted word"))
                }
            };
            keys.add(&key, at)?;
            let (event, span) = self.next()?;
            entries.push(Entry { key, at, node: self.node(event, span)? });
        }
        entries.extend(merged.into_iter().filter(|entry: &Entry| keys.is_new(&entry.key)));
        self.budget.leave();
        Ok(Value::Map(entries))
    }
}

/// What an object is to be merged with, by precedence.
fn to_merge(node: Node) -> Result<Vec<Entry>, Fault> {
    let wrong = |at| Err(Fault::syntax(at, "<< takes an object, or a list of objects"));
    match node.value {
        Value::Map(entries) => Ok(entries),
        Value::List(items) => {
            let mut merged = Vec::new();
            for item in items {
                match item.value {
                    Value::Map(entries) => merged.extend(entries),
                    _ => return wrong(item.at),
                }
            }
            Ok(merged)
        }
        _ => wrong(node.at),
    }
}

fn range(text: &str, span: &Span) -> Range<usize> {
    let offset = |marker: granit_parser::Marker| marker.byte_offset().unwrap_or(text.len());
    offset(span.start)..offset(span.end)
}

/// Whether a tag says that the value is what it would be anyway, or text. Others are refused.
fn tagged(tag: Option<&granit_parser::Tag>, allowed: &[&str], at: usize) -> Result<bool, Fault> {
    let Some(tag) = tag else { return Ok(false) };
    if allowed.iter().any(|name| tag.is_yaml_core_schema_tag(name)) {
        return Ok(true);
    }
    Err(Fault::syntax(at, format!("the tag {} means nothing here", tag.original())))
}

/// A plain scalar by the core schema (YAML 1.2.2, 10.3.2).
fn scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    let radix = |prefix, radix| {
        text.strip_prefix(prefix).filter(|d| d.chars().all(|c| c.is_digit(radix))).map(|d| (d, radix))
    };
    if let Some((digits, radix)) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return u64::from_str_radix(digits, radix)
            .map_or(Value::Text(text.to_owned()), |n| Value::Int(n.into()));
    }
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = body.bytes().all(|byte| byte.is_ascii_digit());
    if digits && !body.is_empty() {
        let whole =
            text.parse::<i128>().ok().filter(|n| i64::try_from(*n).is_ok() || u64::try_from(*n).is_ok());
        return whole.map_or_else(|| text.parse().map_or(Value::Null, Value::Float), Value::Int);
    }
    let number = body.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && body.bytes().any(|byte| byte.is_ascii_digit())
        && body.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    match text.parse() {
        Ok(float) if number => Value::Float(float),
        _ => Value::Text(text.to_owned()),
    }
}
