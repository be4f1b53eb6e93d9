//! D-Bus messages in their wire format: calls are written, replies and signals are read.
//!
//! ```text
//! byte order, type, flags, version │ body length │ serial │ header fields a(yv) │ to 8 │ body
//! ```
//!
//! What is read comes from another program: each length is checked against what is there, and types are nested no
//! deeper than [`DEPTH`]. Source: D-Bus Specification 0.38, "Message Protocol".

use crate::error::{Error, Kind, Result};

/// The longest message that is read, in bytes; those of systemd that are waited for have some hundred.
const MAX: usize = 1 << 20;

/// How deep types may be nested.
const DEPTH: usize = 16;

/// `METHOD_RETURN`, `ERROR` and `SIGNAL`, as [`Incoming::kind`] has them.
pub(super) const RETURN: u8 = 2;
pub(super) const ERROR: u8 = 3;
pub(super) const SIGNAL: u8 = 4;

const CALL: u8 = 1;

/// A value of any type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// One of `ybnqiuxtd`, by its bits: what is signed has its sign extended, a double is as `f64::to_bits` has it.
    Number(u8, u64),
    /// One of `sog`.
    Text(u8, String),
    /// Values of one type, which is named.
    Array(String, Vec<Self>),
    /// A structure.
    Struct(Vec<Self>),
    /// Key and value of a dictionary, which is an array of these.
    Entry(Vec<Self>),
    /// A value with its type.
    Variant(Box<Self>),
}

impl Value {
    /// A string.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(b's', text.into())
    }

    /// `t`.
    pub fn u64(number: u64) -> Self {
        Self::Number(b't', number)
    }

    /// `b`.
    pub fn bool(yes: bool) -> Self {
        Self::Number(b'b', yes.into())
    }

    /// `ay`.
    pub fn bytes(bytes: &[u8]) -> Self {
        Self::Array("y".into(), bytes.iter().map(|b| Self::Number(b'y', (*b).into())).collect())
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(_, text) => Some(text),
            _ => None,
        }
    }

    /// Adds the type's signature.
    pub(super) fn signature(&self, out: &mut String) {
        match self {
            Self::Number(code, _) | Self::Text(code, _) => out.push(char::from(*code)),
            Self::Array(element, _) => {
                out.push('a');
                out.push_str(element);
            }
            Self::Struct(fields) => around('(', fields, ')', out),
            Self::Entry(fields) => around('{', fields, '}', out),
            Self::Variant(_) => out.push('v'),
        }
    }

    /// Adds the value; `out` begins where alignment counts from.
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Number(code, bits) => {
                let width = alignment(*code);
                pad(out, width);
                out.extend_from_slice(&bits.to_le_bytes()[..width]);
            }
            Self::Text(b'g', text) => write_signature(text, out),
            Self::Text(_, text) => {
                pad(out, 4);
                out.extend_from_slice(&(text.len() as u32).to_le_bytes());
                out.extend_from_slice(text.as_bytes());
                out.push(0);
            }
            Self::Array(element, items) => {
                pad(out, 4);
                let length = out.len();
                out.extend_from_slice(&[0; 4]);
                pad(out, element.bytes().next().map_or(1, alignment));
                let start = out.len();
                items.iter().for_each(|item| item.write(out));
                let bytes = (out.len() - start) as u32;
                out[length..length + 4].copy_from_slice(&bytes.to_le_bytes());
            }
            Self::Struct(fields) | Self::Entry(fields) => {
                pad(out, 8);
                fields.iter().for_each(|field| field.write(out));
            }
            Self::Variant(value) => {
                let mut signature = String::new();
                value.signature(&mut signature);
                write_signature(&signature, out);
                value.write(out);
            }
        }
    }
}

fn around(open: char, fields: &[Value], close: char, out: &mut String) {
    out.push(open);
    fields.iter().for_each(|field| field.signature(out));
    out.push(close);
}

fn write_signature(text: &str, out: &mut Vec<u8>) {
    out.push(text.len() as u8);
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

/// To what a type is aligned, which is a number's width as well.
fn alignment(code: u8) -> usize {
    match code {
        b'n' | b'q' => 2,
        b'b' | b'i' | b'u' | b's' | b'o' | b'a' => 4,
        b'x' | b't' | b'd' | b'(' | b'{' => 8,
        _ => 1,
    }
}

fn pad(out: &mut Vec<u8>, to: usize) {
    out.resize(out.len().next_multiple_of(to), 0);
}

/// To whom a call goes; the object's interface and path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    /// Bus name.
    pub destination: &'static str,
    /// Object.
    pub path: &'static str,
    /// Interface.
    pub interface: &'static str,
}

/// The bytes of a method call.
pub(super) fn call(serial: u32, to: Target, member: &str, arguments: &[Value]) -> Vec<u8> {
    let (mut body, mut signature) = (Vec::new(), String::new());
    for argument in arguments {
        argument.write(&mut body);
        argument.signature(&mut signature);
    }
    let mut fields = Vec::new();
    let mut field = |code: u64, kind: u8, text: &str| {
        let text = Value::Variant(Box::new(Value::Text(kind, text.to_owned())));
        fields.push(Value::Struct(vec![Value::Number(b'y', code), text]));
    };
    field(1, b'o', to.path);
    field(2, b's', to.interface);
    field(3, b's', member);
    field(6, b's', to.destination);
    if !signature.is_empty() {
        field(8, b'g', &signature);
    }
    // No flags: whoever isn't there yet is waited for, as the user's systemd is by a bus that it has just started.
    let mut out = vec![b'l', CALL, 0, 1];
    for number in [body.len() as u32, serial] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    Value::Array("(yv)".into(), fields).write(&mut out);
    pad(&mut out, 8);
    out.append(&mut body);
    out
}

/// A message that came in, with the header fields that are looked at; those that are missing are empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Incoming {
    /// [`RETURN`], [`ERROR`], [`SIGNAL`] or another.
    pub kind: u8,
    /// Serial of the call that it answers.
    pub reply_to: u32,
    /// Object that a signal is of.
    pub path: String,
    /// Name of a signal.
    pub member: String,
    /// Name of an error.
    pub error: String,
    /// Unique name of who sent it; empty without a bus.
    pub sender: String,
    /// Arguments.
    pub body: Vec<Value>,
}

/// How many bytes the message has that begins here; `None` while that can't be told.
pub(super) fn length(bytes: &[u8]) -> Result<Option<usize>> {
    if bytes.len() < 16 {
        return Ok(None);
    }
    let swapped = byte_order(bytes)?;
    let number = |at: usize| number(&bytes[at..at + 4], swapped);
    let total = 16 + number(12).next_multiple_of(8) + number(4);
    if total > MAX as u64 { Err(broken()) } else { Ok(Some(total as usize)) }
}

/// Reads a message that is there whole, and nothing else.
pub(super) fn decode(bytes: &[u8]) -> Result<Incoming> {
    match length(bytes)? == Some(bytes.len()) {
        true => read(bytes).ok_or_else(broken),
        false => Err(broken()),
    }
}

fn broken() -> Error {
    Error::new(Kind::System, "D-Bus: a message that came in is broken")
}

fn byte_order(bytes: &[u8]) -> Result<bool> {
    match bytes.first() {
        Some(b'l') => Ok(false),
        Some(b'B') => Ok(true),
        _ => Err(broken()),
    }
}

fn number(bytes: &[u8], swapped: bool) -> u64 {
    let add = |all: u64, byte: &u8| all << 8 | u64::from(*byte);
    if swapped { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
}

fn read(bytes: &[u8]) -> Option<Incoming> {
    let mut reader = Reader { bytes, at: 12, swapped: byte_order(bytes).ok()? };
    let mut message = Incoming { kind: *bytes.get(1)?, ..Incoming::default() };
    let mut signature = String::new();
    let Value::Array(_, fields) = reader.value(b"a(yv)", 0)? else { return None };
    for field in fields {
        let Value::Struct(parts) = field else { return None };
        let [Value::Number(_, code), Value::Variant(value)] = parts.as_slice() else { return None };
        match (code, *value.clone()) {
            (1, Value::Text(b'o', text)) => message.path = text,
            (3, Value::Text(b's', text)) => message.member = text,
            (4, Value::Text(b's', text)) => message.error = text,
            (5, Value::Number(b'u', serial)) => message.reply_to = serial as u32,
            (7, Value::Text(b's', text)) => message.sender = text,
            (8, Value::Text(b'g', text)) => signature = text,
            (1 | 3 | 4 | 5 | 7 | 8, _) => return None,
            _ => {}
        }
    }
    reader.align(8)?;
    let mut rest = signature.as_bytes();
    while !rest.is_empty() {
        let (first, others) = rest.split_at(one_type(rest, 0)?);
        message.body.push(reader.value(first, 0)?);
        rest = others;
    }
    (reader.at == bytes.len()).then_some(message)
}

/// Length of the first complete type of a signature.
pub(super) fn one_type(signature: &[u8], depth: usize) -> Option<usize> {
    let close = match signature.first()? {
        _ if depth > DEPTH => return None,
        b'a' => return Some(1 + one_type(&signature[1..], depth + 1)?),
        b'(' => b')',
        b'{' => b'}',
        b'y' | b'b' | b'n' | b'q' | b'i' | b'u' | b'x' | b't' | b'd' | b's' | b'o' | b'g' | b'v' => {
            return Some(1);
        }
        _ => return None,
    };
    let (mut at, mut fields) = (1, 0);
    while *signature.get(at)? != close {
        at += one_type(&signature[at..], depth + 1)?;
        fields += 1;
    }
    // Neither is empty, and an entry has two.
    (fields == 2 || fields > 0 && close == b')').then_some(at + 1)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    swapped: bool,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn align(&mut self, to: usize) -> Option<()> {
        self.take(self.at.next_multiple_of(to) - self.at).map(drop)
    }

    fn number(&mut self, code: u8) -> Option<u64> {
        let width = alignment(code);
        self.align(width)?;
        let bits = number(self.take(width)?, self.swapped);
        let unused = 64 - 8 * width as u32;
        match code {
            b'b' if bits > 1 => None,
            b'n' | b'i' => Some(((bits << unused) as i64 >> unused) as u64),
            _ => Some(bits),
        }
    }

    fn text(&mut self, length: u64) -> Option<String> {
        let text = self.take(usize::try_from(length).ok()?)?;
        let end = self.take(1)?;
        (end == [0] && !text.contains(&0)).then(|| String::from_utf8(text.to_vec()).ok())?
    }

    /// A value of one complete type.
    fn value(&mut self, signature: &[u8], depth: usize) -> Option<Value> {
        if depth > DEPTH {
            return None;
        }
        Some(match signature[0] {
            b'a' => return self.array(&signature[1..], depth),
            b'(' => Value::Struct(self.fields(&signature[1..signature.len() - 1], depth)?),
            b'{' => Value::Entry(self.fields(&signature[1..signature.len() - 1], depth)?),
            b'v' => {
                let length = self.number(b'y')?;
                let signature = self.text(length)?;
                if one_type(signature.as_bytes(), depth)? != signature.len() {
                    return None;
                }
                Value::Variant(Box::new(self.value(signature.as_bytes(), depth + 1)?))
            }
            code @ (b's' | b'o') => {
                let length = self.number(b'u')?;
                Value::Text(code, self.text(length)?)
            }
            b'g' => {
                let length = self.number(b'y')?;
                Value::Text(b'g', self.text(length)?)
            }
            code => Value::Number(code, self.number(code)?),
        })
    }

    fn array(&mut self, element: &[u8], depth: usize) -> Option<Value> {
        let length = usize::try_from(self.number(b'u')?).ok()?;
        self.align(alignment(element[0]))?;
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len())?;
        let mut items = Vec::new();
        while self.at < end {
            items.push(self.value(element, depth + 1)?);
        }
        (self.at == end).then(|| Value::Array(String::from_utf8_lossy(element).into_owned(), items))
    }

    fn fields(&mut self, mut signature: &[u8], depth: usize) -> Option<Vec<Value>> {
        self.align(8)?;
        let mut fields = Vec::new();
        while !signature.is_empty() {
            let (first, rest) = signature.split_at(one_type(signature, depth)?);
            fields.push(self.value(first, depth + 1)?);
            signature = rest;
        }
        Some(fields)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
