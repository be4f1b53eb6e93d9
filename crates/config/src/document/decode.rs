//! From a tree to a type, through serde: what fails knows its path and place.

use super::{Entry, Fault, Node, Step, Value};
use crate::suggest::hint;
use crate::Kind;
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use std::fmt;

/// Makes a `T` of the tree.
pub(super) fn decode<T: DeserializeOwned>(root: &Node) -> Result<T, Fault> {
    T::deserialize(root)
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { kind: Kind::Content, at: None, path: Vec::new(), message: message.to_string() }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format!("key {field:?} isn't known{}", otherwise(field, expected)))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format!("{variant:?} isn't known{}", otherwise(variant, expected)))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom(format!("key {field:?} is missing"))
    }

    fn invalid_type(found: de::Unexpected, expected: &dyn de::Expected) -> Self {
        let expected = expected.to_string();
        let quotes = match found {
            de::Unexpected::Bool(_) | de::Unexpected::Unsigned(_) | de::Unexpected::Signed(_)
                if expected == "a string" =>
            {
                "; quotes make it a text"
            }
            de::Unexpected::Float(_) if expected == "a string" => "; quotes make it a text",
            _ => "",
        };
        Self::custom(format!("{} where {} is expected{quotes}", shown(found), plain(&expected)))
    }

    fn invalid_value(found: de::Unexpected, expected: &dyn de::Expected) -> Self {
        Self::custom(format!("{} where {} is expected", shown(found), plain(&expected.to_string())))
    }
}

/// What was probably meant, or all there is.
fn otherwise(word: &str, known: &'static [&'static str]) -> String {
    let hint = hint(word, known.iter().copied());
    if hint.is_empty() && known.len() <= 12 {
        return format!("; there are {}", known.join(", "));
    }
    hint
}

fn shown(found: de::Unexpected) -> String {
    match found {
        de::Unexpected::Map => "an object".to_owned(),
        de::Unexpected::Seq => "a list".to_owned(),
        de::Unexpected::Unit => "nothing".to_owned(),
        de::Unexpected::Bool(value) => value.to_string(),
        de::Unexpected::Unsigned(value) => value.to_string(),
        de::Unexpected::Signed(value) => value.to_string(),
        de::Unexpected::Float(value) => value.to_string(),
        de::Unexpected::Str(value) => format!("{value:?}"),
        other => other.to_string(),
    }
}

/// serde's word for a type, in the words of files.
fn plain(expected: &str) -> String {
    match expected {
        "a string" => "a text".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "an object".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "u16" => "a whole number from 0 to 65535".to_owned(),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "u64" => "a whole number that isn't negative".to_owned(),
        "f64" => "a number".to_owned(),
        other => match other.split_once(' ') {
            Some(("struct", _)) => "an object".to_owned(),
            _ => other.to_owned(),
        },
    }
}

/// The fault at this value, unless it is known to be further in.
fn at(node: &Node) -> impl FnOnce(Fault) -> Fault {
    let at = node.at;
    move |fault| Fault { at: fault.at.or(Some(at)), ..fault }
}

fn below(fault: Fault, step: Step) -> Fault {
    let mut fault = fault;
    fault.path.push(step);
    fault
}

impl<'de> de::Deserializer<'de> for &'de Node {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let read = match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => visitor.visit_u64(value),
                (_, Ok(value)) => visitor.visit_i64(value),
                _ => visitor.visit_i128(*value),
            },
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(items) => visitor.visit_seq(Items { items: items.iter().enumerate() }),
            Value::Map(entries) => visitor.visit_map(Entries { entries: entries.iter(), entry: None }),
        };
        read.map_err(at(self))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    /// serde would take a list for an object, value by value.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.value {
            Value::List(_) => Err(at(self)(de::Error::invalid_type(de::Unexpected::Seq, &"a map"))),
            _ => self.deserialize_any(visitor),
        }
    }

    /// The enumerations of a configuration are words.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let Value::Text(text) = &self.value else {
            let message = format!("expected one of {}", words.join(", "));
            return Err(at(self)(de::Error::custom(message)));
        };
        visitor.visit_enum(text.as_str().into_deserializer()).map_err(at(self))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map identifier ignored_any
    }
}

struct Items<'de> {
    items: std::iter::Enumerate<std::slice::Iter<'de, Node>>,
}

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some((index, item)) = self.items.next() else { return Ok(None) };
        seed.deserialize(item).map(Some).map_err(at(item)).map_err(|fault| below(fault, Step::Index(index)))
    }
}

struct Entries<'de> {
    entries: std::slice::Iter<'de, Entry>,
    entry: Option<&'de Entry>,
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        self.entry = self.entries.next();
        let Some(entry) = self.entry else { return Ok(None) };
        let key = de::value::StrDeserializer::new(entry.key.as_str());
        seed.deserialize(key).map(Some).map_err(|fault: Fault| Fault { at: Some(entry.at), ..fault })
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        let Some(entry) = self.entry else { return Err(de::Error::custom("a value without a key")) };
        seed.deserialize(&entry.node)
            .map_err(at(&entry.node))
            .map_err(|fault| below(fault, Step::Key(entry.key.clone())))
    }
}
