//! The JSON reader: RFC 8259 and nothing more, with the place of every value and key, which serde_json doesn't tell.

use super::{Budget, Entry, Fault, Keys, Node, Value};

/// Reads a text that is one JSON value.
pub(super) fn read(text: &str) -> Result<Node, Fault> {
    let mut reader = Reader { text, at: 0, budget: Budget::default() };
    let root = reader.value()?;
    reader.space();
    match reader.peek() {
        None => Ok(root),
        Some(_) => Err(Fault::syntax(reader.at, "something follows the end of the configuration")),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    budget: Budget,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Skips space, and then this byte if it is there.
    fn skip(&mut self, byte: u8) -> bool {
        self.space();
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn fault<T>(&self, message: impl Into<String>) -> Result<T, Fault> {
        Err(Fault::syntax(self.at, message))
    }

    fn expected<T>(&self, what: &str) -> Result<T, Fault> {
        match self.text[self.at..].chars().next() {
            Some(found) => self.fault(format!("expected {what}, found {found:?}")),
            None => self.fault(format!("expected {what}, but the text ends")),
        }
    }

    fn value(&mut self) -> Result<Node, Fault> {
        self.space();
        let at = self.at;
        self.budget.node(at)?;
        let value = match self.peek() {
            Some(b'{') => self.object()?,
            Some(b'[') => self.array()?,
            Some(b'"') => Value::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.word()?,
        };
        Ok(Node { at, end: self.at, value })
    }

    fn word(&mut self) -> Result<Value, Fault> {
        for (word, value) in
            [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))]
        {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        self.expected("a value")
    }

    fn object(&mut self) -> Result<Value, Fault> {
        self.budget.enter(self.at)?;
        self.at += 1;
        let (mut entries, mut keys) = (Vec::new(), Keys::default());
        if !self.skip(b'}') {
            loop {
                self.space();
                let at = self.at;
                if self.peek() != Some(b'"') {
                    return self.expected("a key in double quotes");
                }
                let key = self.string()?;
                keys.add(&key, at)?;
                if !self.skip(b':') {
                    return self.expected("a colon");
                }
                entries.push(Entry { key, at, node: self.value()? });
                if self.skip(b'}') {
                    break;
                }
                if !self.skip(b',') {
                    return self.expected("a comma or the object's end");
                }
            }
        }
        self.budget.leave();
        Ok(Value::Map(entries))
    }

    fn array(&mut self) -> Result<Value, Fault> {
        self.budget.enter(self.at)?;
        self.at += 1;
        let mut items = Vec::new();
        if !self.skip(b']') {
            loop {
                items.push(self.value()?);
                if self.skip(b']') {
                    break;
                }
                if !self.skip(b',') {
                    return self.expected("a comma or the list's end");
                }
            }
        }
        self.budget.leave();
        Ok(Value::List(items))
    }

    fn number(&mut self) -> Result<Value, Fault> {
        let start = self.at;
        while matches!(self.peek(), Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
            self.at += 1;
        }
        let text = &self.text[start..self.at];
        let wrong = |text: &str| Fault::syntax(start, format!("{text} is no number"));
        let number: serde_json::Number = serde_json::from_str(text).map_err(|_| wrong(text))?;
        match number.as_i128() {
            Some(whole) => Ok(Value::Int(whole)),
            // serde_json's own reading of fractions may be off by the last bit.
            None => Ok(Value::Float(text.parse().map_err(|_| wrong(text))?)),
        }
    }

    /// Its end is found here; what it means serde_json knows.
    fn string(&mut self) -> Result<String, Fault> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                None => return Err(Fault::syntax(start, "the string has no end")),
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(..0x20) => return self.fault("a control character in a string; \\n is a line feed"),
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        let wrong = || Fault::syntax(start, "the string has an escape that JSON doesn't know");
        serde_json::from_str(self.text.get(start..self.at).ok_or_else(wrong)?).map_err(|_| wrong())
    }
}
