//! Messages of netlink(7) and rtnetlink(7): made, and taken apart with every length checked.
//!
//! ```text
//! length u32 │ kind u16 │ flags u16 │ sequence u32 │ port u32 ║ header of the kind ║ attributes
//! attribute: length u16 │ kind u16 │ value, padded to four bytes
//! ```
//!
//! All numbers are in the machine's order.

/// Bytes of a message's own header.
const HEADER: usize = 16;

/// Lengths are rounded up to this.
const ALIGN: usize = 4;

/// A message to the kernel that is being made.
pub(super) struct Request(Vec<u8>);

impl Request {
    /// A message of this kind, with the kind's own header.
    pub(super) fn new(kind: u16, flags: u16, header: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend([0; 4]);
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(header);
        Self(bytes)
    }

    /// Adds an attribute; `value` has less than 64 KiB.
    pub(super) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        put(&mut self.0, kind, value);
        self
    }

    /// The bytes to send.
    pub(super) fn bytes(mut self, sequence: u32) -> Vec<u8> {
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.0
    }
}

/// Attributes one after the other: the value of an attribute that holds others.
pub(super) fn nest(attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let all = attributes.iter().fold(Request(Vec::new()), |all, (kind, value)| all.attribute(*kind, value));
    all.0
}

/// Adds an attribute to others; `value` has less than 64 KiB.
pub(super) fn put(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    debug_assert!(ALIGN + value.len() <= u16::MAX.into(), "the length of attribute {kind} has 16 bits");
    bytes.extend(((ALIGN + value.len()) as u16).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
}

/// Adds an attribute that is made of others (`NLA_F_NESTED`), less than 64 KiB of them.
pub(super) fn put_nested(bytes: &mut Vec<u8>, kind: u16, fill: impl FnOnce(&mut Vec<u8>)) {
    const NESTED: u16 = 0x8000;
    let start = bytes.len();
    put(bytes, kind | NESTED, &[]);
    fill(bytes);
    let length = bytes.len() - start;
    debug_assert!(length <= u16::MAX.into(), "the length of attribute {kind} has 16 bits");
    bytes[start..start + 2].copy_from_slice(&(length as u16).to_ne_bytes());
}

/// A message of the kernel's.
#[derive(Debug, PartialEq)]
pub(super) struct Reply<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    /// What follows the message's own header.
    pub(super) body: &'a [u8],
}

/// The messages in what was received; what is shorter than it says it is ends them.
pub(super) fn replies(mut bytes: &[u8]) -> impl Iterator<Item = Reply<'_>> {
    std::iter::from_fn(move || {
        let length = number(bytes, 0)? as usize;
        let body = bytes.get(HEADER..length)?;
        let reply =
            Reply { kind: short(bytes, 4)?, flags: short(bytes, 6)?, sequence: number(bytes, 8)?, body };
        bytes = bytes.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
        Some(reply)
    })
}

/// Attributes, kind and value; what is shorter than it says it is ends them.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(short(bytes, 0)?);
        let value = bytes.get(ALIGN..length)?;
        // The upper two bits say how the value is written, not what it is.
        let kind = short(bytes, 2)? & 0x3fff;
        bytes = bytes.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The 32 bit number at an offset.
pub(super) fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// Reads bytes as the kernel's answers, and asserts that what is found lies in them.
#[cfg(any(test, feature = "fuzz"))]
pub(super) fn fuzz(bytes: &[u8]) {
    let within = |part: &[u8], whole: &[u8]| {
        part.is_empty() || whole.as_ptr_range().contains(&part.as_ptr()) && part.len() <= whole.len()
    };
    let mut found = 0;
    for reply in replies(bytes) {
        assert!(within(reply.body, bytes));
        found += HEADER + reply.body.len();
        let mut inner = 0;
        for (_, value) in attributes(reply.body) {
            assert!(within(value, reply.body));
            inner += ALIGN + value.len();
        }
        assert!(inner <= reply.body.len());
    }
    assert!(found <= bytes.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_read() {
        let bytes = Request::new(7, 5, b"head").attribute(3, b"odd").attribute(9, b"").bytes(42);
        assert_eq!(bytes.len() % ALIGN, 0);
        let mut two = bytes.clone();
        two.extend(&bytes);
        let read: Vec<_> = replies(&two).collect();
        assert_eq!((read.len(), &read[0]), (2, &read[1]));
        assert_eq!((read[0].kind, read[0].flags, read[0].sequence), (7, 5, 42));
        let found: Vec<_> = attributes(&read[0].body[4..]).collect();
        assert_eq!(found, [(3, &b"odd"[..]), (9, b"")]);
    }

    #[test]
    fn attributes_lie_in_attributes() {
        let inner = |bytes: &mut Vec<u8>| {
            put(bytes, 1, b"odd");
            put_nested(bytes, 2, |bytes| put(bytes, 3, b""));
        };
        let mut head = b"head".to_vec();
        put_nested(&mut head, 9, inner);
        let bytes = Request::new(7, 5, &head).attribute(4, b"next").bytes(1);
        let of = |bytes| attributes(bytes).collect::<Vec<_>>();
        let outer = of(&bytes[HEADER + 4..]);
        assert_eq!((outer.len(), outer[0].0, outer[1]), (2, 9, (4, &b"next"[..])));
        let found = of(outer[0].1);
        assert_eq!((found[0], found[1].0), ((1, &b"odd"[..]), 2));
        assert_eq!(of(found[1].1), [(3, &b""[..])]);
    }

    #[test]
    fn nothing_is_read_beyond_the_end() {
        let bytes = Request::new(7, 5, b"head").attribute(3, b"value").bytes(1);
        for cut in 0..bytes.len() {
            assert_eq!(replies(&bytes[..cut]).count(), 0, "{cut}");
        }
        for length in [0_u32, 1, 15, bytes.len() as u32 + 1, u32::MAX] {
            let mut wrong = bytes.clone();
            wrong[..4].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(replies(&wrong).count(), 0, "{length}");
        }
        for length in [0_u16, 1, 3, 13, u16::MAX] {
            let mut wrong = bytes[20..].to_vec();
            wrong[..2].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(attributes(&wrong).count(), 0, "{length}");
        }
        assert_eq!(attributes(&bytes[20..28]).count(), 0, "its last byte is missing");
    }
}
