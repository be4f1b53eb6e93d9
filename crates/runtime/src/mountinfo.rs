//! Paths in mount tables, proc_pid_mountinfo(5).

/// A field in which blanks and the like stand as `\040`, as the bytes that they stand for.
pub(crate) fn unescape(mut field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    while let [first, rest @ ..] = field {
        let (byte, rest) = match field {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', rest @ ..] => {
                ((a & 3) << 6 | (b & 7) << 3 | c & 7, rest)
            }
            _ => (*first, rest),
        };
        out.push(byte);
        field = rest;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn three_octal_digits_are_a_byte_and_all_else_stands_for_itself() {
        for (written, meant) in [
            (r"/a\040b\011\134", &b"/a b\t\\"[..]),
            (r"\303\244", "ä".as_bytes()),
            (r"\+07", br"\+07"),
            (r"\08\400\04", br"\08\400\04"),
            (r"\\040\9zz", br"\ \9zz"),
        ] {
            assert_eq!(unescape(written.as_bytes()), meant, "{written}");
        }
    }
}
