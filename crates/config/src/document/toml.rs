//! The TOML reader and writer: the parser is the crate `toml`'s, which keeps places.

use super::{Budget, Entry, Fault, Node, Value};
use crate::{Error, Kind, Result};
use toml::de::{DeTable, DeValue};
use toml::Spanned;

/// Reads a TOML document.
pub(super) fn read(text: &str) -> Result<Node, Fault> {
    let table = DeTable::parse(text).map_err(|e| {
        let fault = Fault::syntax(e.span().map_or(text.len(), |span| span.start), e.message());
        if e.message() == "duplicate key" {
            let key = e.span().and_then(|span| text.get(span)).unwrap_or_default();
            return Fault::duplicate(fault.at.unwrap_or_default(), key.trim_matches(['"', '\'']));
        }
        fault
    })?;
    let mut budget = Budget::default();
    let at = table.span().start;
    Ok(Node { at, end: at, value: map(table.into_inner(), 0, &mut budget)? })
}

fn map(table: DeTable, at: usize, budget: &mut Budget) -> Result<Value, Fault> {
    budget.enter(at)?;
    let mut entries = Vec::with_capacity(table.len());
    for (key, value) in table {
        let at = key.span().start;
        entries.push(Entry { key: key.into_inner().into_owned(), at, node: node(value, budget)? });
    }
    entries.sort_by_key(|entry| entry.at);
    budget.leave();
    Ok(Value::Map(entries))
}

fn node(value: Spanned<DeValue>, budget: &mut Budget) -> Result<Node, Fault> {
    let (at, end) = (value.span().start, value.span().end);
    budget.node(at)?;
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Integer(number) => {
            let whole = i128::from_str_radix(number.as_str(), number.radix()).ok();
            let whole = whole.filter(|n| i64::try_from(*n).is_ok() || u64::try_from(*n).is_ok());
            let wrong = || Fault::syntax(at, format!("{number} has more than 64 bits"));
            Value::Int(whole.ok_or_else(wrong)?)
        }
        DeValue::Float(number) => {
            let wrong = |_| Fault::syntax(at, format!("{number} is no number"));
            Value::Float(number.as_str().parse().map_err(wrong)?)
        }
        DeValue::Datetime(date) => {
            return Err(Fault::syntax(at, format!("{date} is a date; quotes make it a text")))
        }
        DeValue::Array(items) => {
            budget.enter(at)?;
            let items = items.into_iter().map(|item| node(item, budget)).collect::<Result<_, _>>()?;
            budget.leave();
            Value::List(items)
        }
        DeValue::Table(table) => map(table, at, budget)?,
    };
    Ok(Node { at, end, value })
}

/// The document of a value, which is an object.
pub(super) fn write(tree: &serde_json::Value) -> Result<String> {
    toml::to_string_pretty(tree)
        .map_err(|e| Error::new(Kind::Unsupported, format!("TOML can't hold it: {e}")))
}
