//! What is typed to leave a container alone: `ctrl-p,ctrl-q`.

use forgeone_cli::usage;
use forgeone_runtime::Result;

/// Keys in order, as the bytes that a terminal sends for them; none are never typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    bytes: Vec<u8>,
    /// How many of them came last, and are kept back.
    typed: usize,
}

impl Keys {
    /// `ctrl-X` or single characters, with commas between them.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let key = |word: &str| {
            let letter = word.strip_prefix("ctrl-").map(|rest| (rest, true)).unwrap_or((word, false));
            match (letter.0.as_bytes(), letter.1) {
                ([c], false) if c.is_ascii() => Ok(*c),
                ([c @ (b'a'..=b'z' | b'A'..=b'Z' | b'@' | b'[' | b'\\' | b']' | b'^' | b'_')], true) => {
                    Ok(c.to_ascii_uppercase() & 0x1f)
                }
                _ => Err(usage(format!("option --detach-keys: {word:?} is no key such as ctrl-p or a"))),
            }
        };
        let words = text.split(',').filter(|word| !word.is_empty());
        Ok(Self { bytes: words.map(key).collect::<Result<_>>()?, typed: 0 })
    }

    /// What of the input is the container's, and whether all keys were typed. A beginning of them is kept back until it is
    /// known what follows.
    pub(crate) fn filter(&mut self, input: &[u8]) -> (Vec<u8>, bool) {
        let mut out = Vec::with_capacity(input.len());
        for byte in input {
            if self.bytes.get(self.typed) != Some(byte) {
                out.extend_from_slice(&self.bytes[..self.typed]);
                self.typed = 0;
            }
            match self.bytes.get(self.typed) == Some(byte) {
                true => self.typed += 1,
                false => out.push(*byte),
            }
            if self.typed > 0 && self.typed == self.bytes.len() {
                return (out, true);
            }
        }
        (out, false)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_all_of_them_in_order_detach() {
        let mut keys = Keys::parse("ctrl-p,ctrl-q").unwrap();
        assert_eq!(keys.filter(b"ls\n"), (b"ls\n".to_vec(), false));
        assert_eq!(keys.filter(b"a\x10"), (b"a".to_vec(), false));
        assert_eq!(keys.filter(b"b"), (b"\x10b".to_vec(), false));
        assert_eq!(keys.filter(b"\x10\x10\x11x"), (b"\x10".to_vec(), true));
        let mut none = Keys::parse("").unwrap();
        assert_eq!(none.filter(b"\x10\x11"), (b"\x10\x11".to_vec(), false));
        let mut one = Keys::parse("x").unwrap();
        assert_eq!(one.filter(b"abxc"), (b"ab".to_vec(), true));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["ctrl-", "ctrl-1", "ab", "ctrl-p,ä"] {
            assert!(Keys::parse(text).is_err(), "{text}");
        }
    }
}
