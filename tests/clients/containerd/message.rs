//! Calls of containerd's CRI service (`runtime.v1`, api.proto of k8s.io/cri-api), by curl: gRPC is HTTP/2.
//!
//! A message is made and read field by field; all that is needed of the encoding are numbers and byte strings
//! (protobuf.dev, "Encoding").

use std::fs;
use std::path::Path;
use std::process::Command;

/// A message under construction.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds a string, or an element of a repeated one.
    pub(super) fn text(self, field: u8, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    /// Adds a message.
    pub(super) fn message(self, field: u8, message: &Message) -> Self {
        self.bytes(field, &message.0)
    }

    /// Adds an integer, an enumerator or a boolean.
    pub(super) fn number(mut self, field: u8, number: u64) -> Self {
        self.0.push(field << 3);
        self.varint(number);
        self
    }

    fn bytes(mut self, field: u8, bytes: &[u8]) -> Self {
        self.0.push(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    fn varint(&mut self, mut number: u64) {
        while number > 0x7f {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }
}

/// A field of an answer.
#[derive(Clone, Debug)]
enum Field {
    Number(u64),
    Bytes(Vec<u8>),
}

/// An answer: its fields in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer(Vec<(u8, Field)>);

impl Answer {
    fn read(mut bytes: &[u8]) -> Option<Self> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes)?;
            let value = match key & 7 {
                0 => Field::Number(varint(&mut bytes)?),
                2 => {
                    let length = varint(&mut bytes)? as usize;
                    let (value, rest) = bytes.split_at_checked(length)?;
                    bytes = rest;
                    Field::Bytes(value.to_vec())
                }
                _ => return None,
            };
            fields.push(((key >> 3) as u8, value));
        }
        Some(Self(fields))
    }

    /// A number; one that isn't there is 0.
    pub(super) fn number(&self, field: u8) -> u64 {
        let mut numbers = self.0.iter().filter(|(number, _)| *number == field);
        numbers.find_map(|(_, value)| if let Field::Number(n) = value { Some(*n) } else { None }).unwrap_or(0)
    }

    /// A string; one that isn't there is empty.
    pub(super) fn text(&self, field: u8) -> String {
        String::from_utf8(self.bytes(field)).unwrap()
    }

    /// A message in this one; one that isn't there is empty.
    #[track_caller]
    pub(super) fn message(&self, field: u8) -> Self {
        Self::read(&self.bytes(field)).unwrap()
    }

    /// The elements of a repeated message.
    pub(super) fn messages(&self, field: u8) -> Vec<Self> {
        let elements = self.0.iter().filter(|(number, _)| *number == field);
        let read = |value: &Field| if let Field::Bytes(bytes) = value { Self::read(bytes) } else { None };
        elements.filter_map(|(_, value)| read(value)).collect()
    }

    fn bytes(&self, field: u8) -> Vec<u8> {
        let mut fields = self.0.iter().filter(|(number, _)| *number == field);
        let bytes = |value: &Field| if let Field::Bytes(b) = value { Some(b.clone()) } else { None };
        fields.find_map(|(_, value)| bytes(value)).unwrap_or_default()
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Calls a method of the runtime service (`RunPodSandbox`), or of another (`/service/Method`); the error is gRPC's.
pub(super) fn call(socket: &Path, dir: &Path, method: &str, request: &Message) -> Result<Answer, String> {
    let file = |name: &str| dir.join(format!("cri.{name}"));
    // One frame: not compressed, its length, the message.
    let frame = [&[0][..], &(request.0.len() as u32).to_be_bytes(), &request.0].concat();
    fs::write(file("request"), frame).unwrap();
    fs::write(file("answer"), "").unwrap();
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--http2-prior-knowledge", "--max-time", "100"]);
    curl.args(["--header", "content-type: application/grpc", "--header", "te: trailers"]);
    curl.arg("--unix-socket").arg(socket).arg("--data-binary").arg(format!("@{}", file("request").display()));
    curl.arg("--dump-header").arg(file("headers")).arg("--output").arg(file("answer"));
    let output = curl.arg(format!("http://localhost/runtime.v1.RuntimeService/{method}")).output().unwrap();
    // The trailers stand after the headers.
    let headers = fs::read_to_string(file("headers")).unwrap_or_default();
    let header = |name: &str| headers.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
    if header("grpc-status:") != Some("0") {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(header("grpc-message:").map_or(said, str::to_owned));
    }
    let answer = fs::read(file("answer")).unwrap();
    Ok(Answer::read(answer.get(5..).unwrap_or_default()).expect("a message"))
}

#[test]
fn messages_are_encoded_as_the_specification_shows() {
    assert_eq!(Message::new().number(1, 150).0, [0x08, 0x96, 0x01]);
    assert_eq!(Message::new().text(2, "testing").0, *b"\x12\x07testing");
    let inner = Message::new().number(1, 150);
    let outer = Message::new().message(3, &inner).text(4, "a").text(4, "b");
    assert_eq!(outer.0, *b"\x1a\x03\x08\x96\x01\x22\x01a\x22\x01b");
    let read = Answer::read(&outer.0).unwrap();
    assert_eq!((read.message(3).number(1), read.text(4), read.number(9)), (150, "a".into(), 0));
    assert!(Answer::read(b"\x12\x09short").is_none());
}
