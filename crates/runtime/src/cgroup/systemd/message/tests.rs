//! Messages: what is written is read again, and what is broken is refused.

use super::*;
use proptest::prelude::*;

const MANAGER: Target = Target { destination: "org.x", path: "/org/x", interface: "org.x.Y" };

/// Any value of a type that is nested a few times.
fn value() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<u8>().prop_map(|n| Value::Number(b'y', n.into())),
        any::<bool>().prop_map(Value::bool),
        any::<i16>().prop_map(|n| Value::Number(b'n', n as u64)),
        any::<i32>().prop_map(|n| Value::Number(b'i', n as u64)),
        any::<u32>().prop_map(|n| Value::Number(b'u', n.into())),
        any::<u64>().prop_map(Value::u64),
        any::<f64>().prop_map(|n| Value::Number(b'd', n.to_bits())),
        "[ -~ä]{0,12}".prop_map(Value::text),
    ];
    number.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|value| Value::Variant(Box::new(value))),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Value::Struct),
            (inner, 0..4usize).prop_map(|(value, count)| {
                let mut element = String::new();
                value.signature(&mut element);
                Value::Array(element, vec![value; count])
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(body in prop::collection::vec(value(), 0..5)) {
        let bytes = call(7, MANAGER, "Do", &body);
        prop_assert_eq!(length(&bytes).unwrap(), Some(bytes.len()));
        let message = decode(&bytes).unwrap();
        prop_assert_eq!((message.kind, &*message.path, &*message.member), (CALL, "/org/x", "Do"));
        prop_assert_eq!(message.body, body);
    }

    #[test]
    fn broken_messages_are_refused_or_read(
        body in prop::collection::vec(value(), 1..4), at in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let mut bytes = call(7, MANAGER, "Do", &body);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = (length(&bytes), decode(&bytes));
        bytes.truncate(at);
        prop_assert!(decode(&bytes).is_err());
    }
}

#[test]
fn a_call_has_the_bytes_that_the_specification_gives() {
    let bytes = call(1, MANAGER, "Do", &[Value::text("ab"), Value::u64(3)]);
    // No flags, version 1; body, serial; what follows the text is aligned to 8.
    assert_eq!(bytes[..4], *b"l\x01\x00\x01");
    assert_eq!(bytes[4..12], [16, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(bytes.len() % 8, 0);
    assert_eq!(bytes[bytes.len() - 16..], *b"\x02\0\0\0ab\0\0\x03\0\0\0\0\0\0\0");
}

#[test]
fn the_other_byte_order_is_read() {
    let fields = b"\x05\x01u\0\x00\x00\x00\x09";
    let mut bytes = b"B\x02\x00\x01\x00\x00\x00\x04\x00\x00\x00\x01\x00\x00\x00\x0f".to_vec();
    bytes.extend_from_slice(fields);
    bytes.extend_from_slice(b"\x08\x01g\0\x01u\0\0");
    bytes.extend_from_slice(&7u32.to_be_bytes());
    assert_eq!(length(&bytes).unwrap(), Some(bytes.len()));
    let message = decode(&bytes).unwrap();
    assert_eq!((message.kind, message.reply_to), (RETURN, 9));
    assert_eq!(message.body, [Value::Number(b'u', 7)]);
}

#[test]
fn lengths_that_lead_outside_are_refused() {
    let good = call(1, MANAGER, "Do", &[Value::Array("s".into(), vec![Value::text("ab")])]);
    let array = good.len() - 11;
    // An array, a text and a header that are longer than the message; a message that is longer than any.
    for at in [array, array + 4, 12] {
        for wrong in [u32::MAX, 1 << 30, 200] {
            let mut bytes = good.clone();
            bytes[at..at + 4].copy_from_slice(&wrong.to_le_bytes());
            assert!(decode(&bytes).is_err(), "{at} {wrong}");
        }
    }
    for (body, fields) in [(u32::MAX, 0), (0, u32::MAX), (1 << 21, 0)] {
        let mut bytes = good.clone();
        bytes[4..8].copy_from_slice(&body.to_le_bytes());
        bytes[12..16].copy_from_slice(&fields.to_le_bytes());
        assert!(length(&bytes).is_err());
    }
    assert!(length(b"x234567890123456").is_err());
    assert_eq!(length(b"l\x02").unwrap(), None);
}

#[test]
fn types_that_are_nested_too_deep_or_never_end_are_refused() {
    for signature in
        ["a".repeat(200), "(".repeat(200), "((s)".into(), "()".into(), "a".into(), "e".into(), String::new()]
    {
        assert_eq!(one_type(signature.as_bytes(), 0), None, "{signature}");
    }
    for (signature, length) in [("as", 2), ("a{sv}u", 5), ("(s(iu))t", 7), ("ss", 1)] {
        assert_eq!(one_type(signature.as_bytes(), 0), Some(length), "{signature}");
    }
}
