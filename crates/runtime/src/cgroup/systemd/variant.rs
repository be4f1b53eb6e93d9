//! GVariant's text format, in which annotations say what a unit's properties are: `uint64 5`, `'text'`, `@as []`.
//!
//! Values are read without their types, which are then the annotation's (`uint64`, `@t`), or inferred: numbers are `i`
//! or, with a point or an exponent, `d`; quoted text is `s`. Source: GLib's "GVariant Text Format", without maybe types
//! and format strings, as for runc.

use super::message::{Value, one_type};
use crate::numbers::radix;

/// Words for types.
const TYPES: [(&str, &str); 13] = [
    ("boolean", "b"),
    ("byte", "y"),
    ("int16", "n"),
    ("uint16", "q"),
    ("int32", "i"),
    ("handle", "i"),
    ("uint32", "u"),
    ("int64", "x"),
    ("uint64", "t"),
    ("double", "d"),
    ("string", "s"),
    ("objectpath", "o"),
    ("signature", "g"),
];

/// How deep values may be nested.
const DEPTH: usize = 16;

/// A value whose type isn't decided yet.
enum Node {
    Number(String),
    Text(String),
    Bytes(Vec<u8>),
    Bool(bool),
    List(Vec<Node>),
    Tuple(Vec<Node>),
    Entry(Vec<Node>),
    Variant(Box<Node>),
    Typed(String, Box<Node>),
}

/// Reads a value; `None` if the text is none.
pub(super) fn parse(text: &str) -> Option<Value> {
    let mut parser = Parser { rest: text.trim_start() };
    let node = parser.node(0)?;
    if !parser.rest.is_empty() {
        return None;
    }
    node.value()
}

impl Node {
    /// The value of the type that it has where nobody says one, unless that is deeper than a message's may be.
    fn value(&self) -> Option<Value> {
        let signature = self.infer()?;
        if one_type(signature.as_bytes(), 0)? == signature.len() { self.of(&signature) } else { None }
    }

    /// The type that it has where nobody says one; `None` where that can't be told, as for an empty list.
    fn infer(&self) -> Option<String> {
        Some(match self {
            Self::Number(text) => {
                let hex = text.trim_start_matches(['-', '+']).starts_with("0x");
                if !hex && text.contains(['.', 'e', 'E']) { "d" } else { "i" }.to_owned()
            }
            Self::Text(_) => "s".to_owned(),
            Self::Bytes(_) => "ay".to_owned(),
            Self::Bool(_) => "b".to_owned(),
            Self::List(items) => {
                // One that says its type speaks for the others.
                let typed = items.iter().find(|item| matches!(item, Self::Typed(..)));
                format!("a{}", typed.or(items.first())?.infer()?)
            }
            // D-Bus has no empty structure.
            Self::Tuple(items) if items.is_empty() => return None,
            Self::Tuple(items) => format!("({})", infer_all(items)?),
            Self::Entry(items) => format!("{{{}}}", infer_all(items)?),
            Self::Variant(_) => "v".to_owned(),
            Self::Typed(signature, _) => signature.clone(),
        })
    }

    /// The value of this type.
    fn of(&self, signature: &str) -> Option<Value> {
        let code = *signature.as_bytes().first()?;
        Some(match (self, code) {
            (Self::Typed(own, node), _) if own == signature => node.of(own)?,
            (Self::Number(text), b'y' | b'n' | b'q' | b'i' | b'u' | b'x' | b't' | b'd') => {
                Value::Number(code, number(text, code)?)
            }
            (Self::Text(text), b's' | b'o' | b'g') => Value::Text(code, text.clone()),
            (Self::Bytes(bytes), b'a') if signature == "ay" => Value::bytes(bytes),
            (Self::Bool(yes), b'b') => Value::bool(*yes),
            (Self::List(items), b'a') => {
                let element = &signature[1..];
                let items: Option<_> = items.iter().map(|item| item.of(element)).collect();
                Value::Array(element.to_owned(), items?)
            }
            (Self::Tuple(items), b'(') => Value::Struct(all_of(items, signature)?),
            (Self::Entry(items), b'{') => Value::Entry(all_of(items, signature)?),
            (Self::Variant(node), b'v') => Value::Variant(Box::new(node.value()?)),
            _ => return None,
        })
    }
}

fn infer_all(items: &[Node]) -> Option<String> {
    items.iter().map(Node::infer).collect()
}

/// Values of the types between brackets.
fn all_of(items: &[Node], signature: &str) -> Option<Vec<Value>> {
    let mut rest = signature.get(1..signature.len() - 1)?;
    let mut values = Vec::new();
    for item in items {
        let (first, others) = rest.split_at(one_type(rest.as_bytes(), 0)?);
        values.push(item.of(first)?);
        rest = others;
    }
    rest.is_empty().then_some(values)
}

/// The bits of a number of this type, if it fits: decimal, `0x` and hexadecimal, or `0` and octal.
fn number(text: &str, code: u8) -> Option<u64> {
    if code == b'd' {
        return text.parse::<f64>().ok().map(f64::to_bits);
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (base, digits) = match digits.strip_prefix('0') {
        Some(rest) if rest.starts_with('x') => (16, &rest[1..]),
        Some(rest) if !rest.is_empty() => (8, rest),
        _ => (10, digits),
    };
    let size = i128::from(radix(digits, base)?);
    let number = if negative { -size } else { size };
    let (low, high) = match code {
        b'y' => (0, i128::from(u8::MAX)),
        b'n' => (i128::from(i16::MIN), i128::from(i16::MAX)),
        b'q' => (0, i128::from(u16::MAX)),
        b'i' => (i128::from(i32::MIN), i128::from(i32::MAX)),
        b'u' => (0, i128::from(u32::MAX)),
        b'x' => (i128::from(i64::MIN), i128::from(i64::MAX)),
        _ => (0, i128::from(u64::MAX)),
    };
    (low <= number && number <= high).then_some(number as u64)
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    /// Takes `count` bytes and the blanks behind them.
    fn take(&mut self, count: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest.trim_start();
        taken
    }

    fn eat(&mut self, word: &str) -> bool {
        let found = self.rest.starts_with(word);
        if found {
            self.take(word.len());
        }
        found
    }

    fn node(&mut self, depth: usize) -> Option<Node> {
        if depth > DEPTH {
            return None;
        }
        match *self.rest.as_bytes().first()? {
            b'[' => Some(Node::List(self.items("[", "]", depth)?)),
            b'(' => Some(Node::Tuple(self.items("(", ")", depth)?)),
            b'{' => self.dictionary(depth),
            b'<' => {
                self.take(1);
                let node = self.node(depth + 1)?;
                self.eat(">").then(|| Node::Variant(Box::new(node)))
            }
            b'\'' | b'"' => self.quoted().map(Node::Text),
            b'@' => {
                self.take(1);
                let length = one_type(self.rest.as_bytes(), 0)?;
                let signature = self.take(length).to_owned();
                Some(Node::Typed(signature, Box::new(self.node(depth + 1)?)))
            }
            _ => self.word(depth),
        }
    }

    /// A number, `true`, `false`, a byte string, or a type's name and what follows it.
    fn word(&mut self, depth: usize) -> Option<Node> {
        if self.rest.starts_with("b'") || self.rest.starts_with("b\"") {
            self.rest = &self.rest[1..];
            // As in C, there is a NUL at the end.
            let text = self.quoted()?;
            return Some(Node::Bytes(text.bytes().chain([0]).collect()));
        }
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c));
        let word = self.take(end.unwrap_or(self.rest.len()));
        if word.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
            return Some(Node::Number(word.to_owned()));
        }
        match word {
            "true" => Some(Node::Bool(true)),
            "false" => Some(Node::Bool(false)),
            _ => {
                let (_, signature) = TYPES.iter().find(|(name, _)| *name == word)?;
                Some(Node::Typed((*signature).to_owned(), Box::new(self.node(depth + 1)?)))
            }
        }
    }

    fn items(&mut self, open: &str, close: &str, depth: usize) -> Option<Vec<Node>> {
        self.take(open.len());
        let mut items = Vec::new();
        while !self.eat(close) {
            items.push(self.node(depth + 1)?);
            if !self.eat(",") && !self.rest.starts_with(close) {
                return None;
            }
        }
        Some(items)
    }

    fn dictionary(&mut self, depth: usize) -> Option<Node> {
        self.take(1);
        let mut entries = Vec::new();
        while !self.eat("}") {
            let key = self.node(depth + 1)?;
            if !self.eat(":") {
                return None;
            }
            entries.push(Node::Entry(vec![key, self.node(depth + 1)?]));
            if !self.eat(",") && !self.rest.starts_with('}') {
                return None;
            }
        }
        Some(Node::List(entries))
    }

    fn quoted(&mut self) -> Option<String> {
        let mut characters = self.rest.char_indices();
        let (_, quote) = characters.next()?;
        let mut text = String::new();
        while let Some((at, c)) = characters.next() {
            match c {
                c if c == quote => {
                    self.take(at + 1);
                    return Some(text);
                }
                '\\' => match characters.next()?.1 {
                    '\n' => {}
                    'a' => text.push('\x07'),
                    'b' => text.push('\x08'),
                    'f' => text.push('\x0c'),
                    'n' => text.push('\n'),
                    'r' => text.push('\r'),
                    't' => text.push('\t'),
                    'v' => text.push('\x0b'),
                    length @ ('u' | 'U') => {
                        let digits = if length == 'u' { 4 } else { 8 };
                        let digits: String = characters.by_ref().take(digits).map(|(_, c)| c).collect();
                        let code = u32::try_from(radix(&digits, 16)?).ok()?;
                        text.push(char::from_u32(code)?);
                    }
                    other => text.push(other),
                },
                c => text.push(c),
            }
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_type_that_is_said_or_inferred() {
        let text = |text: &str| Value::text(text);
        let list = |element: &str, items: Vec<Value>| Value::Array(element.into(), items);
        for (written, expected) in [
            ("uint64 123456789", Value::u64(123_456_789)),
            ("'inactive-or-failed'", text("inactive-or-failed")),
            ("\"a\\n\\u00e4\"", text("a\nä")),
            (" true ", Value::bool(true)),
            ("7", Value::Number(b'i', 7)),
            ("-0x10", Value::Number(b'i', (-16i64) as u64)),
            ("010", Value::Number(b'i', 8)),
            ("1.5", Value::Number(b'd', 1.5f64.to_bits())),
            ("byte 0xff", Value::Number(b'y', 255)),
            ("@as []", list("s", vec![])),
            ("['a', 'b']", list("s", vec![text("a"), text("b")])),
            ("[1, uint64 2]", list("t", vec![Value::u64(1), Value::u64(2)])),
            ("b'ab'", Value::bytes(b"ab\0")),
            ("<'x'>", Value::Variant(Box::new(text("x")))),
            ("{'a': 'b'}", list("{ss}", vec![Value::Entry(vec![text("a"), text("b")])])),
            ("[('/dev/null', 'rw')]", list("(ss)", vec![Value::Struct(vec![text("/dev/null"), text("rw")])])),
        ] {
            assert_eq!(parse(written), Some(expected), "{written}");
        }
    }

    #[test]
    fn what_is_no_value_is_none() {
        for written in [
            "",
            "x",
            "'a",
            "[1,",
            "[]",
            "[1 2]",
            "256 1",
            "byte 256",
            "uint64 -1",
            "@s 1",
            "int 1",
            "<1",
            "{1}",
            "true false",
            "@( 1",
            "()",
            "[()]",
            "-+5",
            "0x+5",
            "'\\u+041'",
            "-",
            "9999999999",
        ] {
            assert_eq!(parse(written), None, "{written}");
        }
        assert_eq!(parse(&"[".repeat(10_000)), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[@a-z0-9'\"\\\\<>(){}\\[\\]:, .-]{0,40}") {
            parse(&text);
        }
    }
}
