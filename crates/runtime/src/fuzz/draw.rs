//! Structure from bytes: whatever they are, they make something that is nearly right.

use serde_json::{Value, json};

/// Bytes that decide; when they are used up, zero decides.
pub(crate) struct Draw<'a>(&'a [u8]);

/// Numbers at which things change.
const NUMBERS: [u32; 12] =
    [0, 1, 2, 999, 1000, 65_535, 65_536, 0x7fff_ffff, 0x8000_0000, 0xffff_fffd, 0xffff_fffe, 0xffff_ffff];

const WORDS: [&str; 24] = [
    "",
    "/",
    ".",
    "..",
    "/..",
    "/proc",
    "/proc/self/fd/3",
    "//dev//null",
    "/dev",
    "a/b",
    "\0",
    "é",
    "rw",
    "ro",
    "rbind",
    "tmpfs",
    "cgroup",
    "proc",
    "SCMP_ACT_ERRNO",
    "net.ipv4.ip_forward",
    "CAP_SYS_ADMIN",
    "0-3,7",
    "max",
    "%s",
];

impl<'a> Draw<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// One of 0 to `limit` - 1.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let number = usize::from(self.byte()) << 8 | usize::from(self.byte());
        number % limit.max(1)
    }

    pub(crate) fn one<'o, T>(&mut self, of: &'o [T]) -> &'o T {
        &of[self.below(of.len())]
    }

    /// Near a border, or any.
    pub(crate) fn number(&mut self) -> u32 {
        match self.byte() % 3 {
            0 => *self.one(&NUMBERS),
            1 => self.one(&NUMBERS).wrapping_sub(u32::from(self.byte())),
            _ => u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()]),
        }
    }

    pub(crate) fn wide(&mut self) -> u64 {
        match self.byte() % 2 {
            0 => u64::from(self.number()),
            _ => u64::from(self.number()) << 32 | u64::from(self.number()),
        }
    }

    /// A value of any kind.
    fn value(&mut self) -> Value {
        match self.byte() % 8 {
            0 => Value::Null,
            1 => json!(self.byte() & 1 == 1),
            2 => json!(self.number()),
            3 => json!(-i64::from(self.number())),
            4 => json!(self.wide()),
            5 => json!(self.one(&WORDS)),
            6 => json!([self.one(&WORDS), self.one(&WORDS)]),
            _ => json!({ (*self.one(&WORDS)): self.one(&WORDS) }),
        }
    }

    /// Exchanges something in a value, removes it or has it twice.
    pub(crate) fn change(&mut self, whole: &mut Value) {
        match whole {
            Value::Object(map) if !map.is_empty() && !self.byte().is_multiple_of(8) => {
                let keys: Vec<_> = map.keys().cloned().collect();
                let key = self.one(&keys);
                match self.byte() % 16 {
                    0 => drop(map.shift_remove(key)),
                    _ => map.get_mut(key).into_iter().for_each(|inner| self.change(inner)),
                }
            }
            Value::Array(list) if !list.is_empty() && !self.byte().is_multiple_of(8) => {
                let at = self.below(list.len());
                match self.byte() % 16 {
                    0 => drop(list.remove(at)),
                    1 => list.push(list[at].clone()),
                    _ => self.change(&mut list[at]),
                }
            }
            other => *other = self.value(),
        }
    }

    /// Lines of the form of proc_pid_mountinfo(5).
    pub(crate) fn mountinfo(&mut self) -> String {
        let mut table = String::new();
        for _ in 0..self.below(8) {
            for _ in 0..self.below(12) {
                let fields = [
                    "1",
                    "0:1",
                    "/",
                    "/sys/fs/cgroup",
                    "\\040",
                    "\\1",
                    "rw",
                    "-",
                    "cgroup",
                    "cgroup2",
                    "resctrl",
                    "memory,cpu",
                    "/..",
                    "shared:1",
                    "",
                ];
                table.push_str(self.one::<&str>(&fields));
                table.push(' ');
            }
            table.push('\n');
        }
        table
    }
}
