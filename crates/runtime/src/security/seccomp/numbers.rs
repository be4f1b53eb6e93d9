//! System calls by name, and their numbers in each ABI.
//!
//! `numbers.tbl` is read at compile time, into one text of all names, a hash table over it, and a column of
//! numbers for each ABI. Nothing here has a pointer, so nothing is relocated when the program starts, and a
//! column that no ABI of the target refers to is not linked.

/// The table's text.
const TABLE: &[u8] = include_bytes!("numbers.tbl");

/// How many names there are.
pub(super) const COUNT: usize = shape().0;

/// What [`Numbers`] has where an ABI lacks the call.
const ABSENT: u32 = u32::MAX;

/// An ABI's number of each name, by [`Name`].
pub(super) struct Numbers([u32; COUNT]);

/// A name of the table, by its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name(u16);

/// The columns of the table, in its order.
#[derive(Clone, Copy)]
pub(super) enum Column {
    X86_64 = 1,
    X32,
    X86,
    Aarch64,
    Arm,
    Riscv64,
    Loongarch64,
    Ppc64,
    S390x,
}

impl Name {
    /// The name `text`, if any ABI has a call of that name. Takes some nanoseconds.
    pub(super) const fn find(text: &str) -> Option<Self> {
        let mut slot = hash(text.as_bytes());
        while SLOTS[slot] != EMPTY {
            let name = Self(SLOTS[slot]);
            if name.is(text.as_bytes()) {
                return Some(name);
            }
            slot = (slot + 1) % SLOT_COUNT;
        }
        None
    }

    /// Its row: 0 to [`COUNT`], exclusive.
    pub(super) const fn row(self) -> usize {
        self.0 as usize
    }

    /// All names, in the order of their rows.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..COUNT as u16).map(Self)
    }

    /// The name as it is written.
    pub(super) fn text(self) -> &'static str {
        let (from, to) = (STARTS[self.row()] as usize, STARTS[self.row() + 1] as usize);
        std::str::from_utf8(&TEXT[from..to]).unwrap_or_default()
    }

    const fn is(self, text: &[u8]) -> bool {
        let from = STARTS[self.row()] as usize;
        if STARTS[self.row() + 1] as usize - from != text.len() {
            return false;
        }
        let mut i = 0;
        while i < text.len() && TEXT[from + i] == text[i] {
            i += 1;
        }
        i == text.len()
    }
}

impl Numbers {
    /// A column of the table.
    pub(super) const fn column(column: Column) -> Self {
        let mut numbers = [ABSENT; COUNT];
        let mut row = 0;
        let mut line = 0;
        while line < TABLE.len() {
            if is_row(line) {
                let (from, to) = field(line, column as usize);
                numbers[row] = number(from, to);
                row += 1;
            }
            line = next_line(line);
        }
        Self(numbers)
    }

    /// The number of `name`, or `None` if the ABI lacks it.
    pub(super) const fn get(&self, name: Name) -> Option<u32> {
        match self.0[name.row()] {
            ABSENT => None,
            number => Some(number),
        }
    }
}

impl std::fmt::Debug for Numbers {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("Numbers")
    }
}

/// All names, one after the other; `STARTS[row]` is where a name begins.
static TEXT: [u8; shape().1] = texts().0;
static STARTS: [u16; COUNT + 1] = texts().1;

/// An open hash table: rows, or `EMPTY`.
static SLOTS: [u16; SLOT_COUNT] = slots();
const SLOT_COUNT: usize = 2048;
const EMPTY: u16 = u16::MAX;
const _: () = assert!(COUNT * 2 < SLOT_COUNT);

/// FNV-1a, folded to a slot.
const fn hash(text: &[u8]) -> usize {
    let mut hash: u32 = 0x811c_9dc5;
    let mut i = 0;
    while i < text.len() {
        hash = (hash ^ text[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    (hash ^ (hash >> 16)) as usize % SLOT_COUNT
}

const fn slots() -> [u16; SLOT_COUNT] {
    let (text, starts) = texts();
    let mut slots = [EMPTY; SLOT_COUNT];
    let mut row = 0;
    while row < COUNT {
        let (_, rest) = text.split_at(starts[row] as usize);
        let (name, _) = rest.split_at((starts[row + 1] - starts[row]) as usize);
        let mut slot = hash(name);
        while slots[slot] != EMPTY {
            slot = (slot + 1) % SLOT_COUNT;
        }
        slots[slot] = row as u16;
        row += 1;
    }
    slots
}

const fn texts() -> ([u8; shape().1], [u16; COUNT + 1]) {
    let mut text = [0; shape().1];
    let mut starts = [0; COUNT + 1];
    let (mut row, mut used, mut line) = (0, 0, 0);
    while line < TABLE.len() {
        if is_row(line) {
            let (from, to) = field(line, 0);
            let mut i = from;
            while i < to {
                text[used] = TABLE[i];
                used += 1;
                i += 1;
            }
            row += 1;
            starts[row] = used as u16;
        }
        line = next_line(line);
    }
    (text, starts)
}

/// How many rows there are, and how many bytes their names take.
const fn shape() -> (usize, usize) {
    let (mut rows, mut bytes, mut line) = (0, 0, 0);
    while line < TABLE.len() {
        if is_row(line) {
            let (from, to) = field(line, 0);
            rows += 1;
            bytes += to - from;
        }
        line = next_line(line);
    }
    (rows, bytes)
}

const fn is_row(line: usize) -> bool {
    TABLE[line] != b'#'
}

const fn next_line(mut at: usize) -> usize {
    while TABLE[at] != b'\n' {
        at += 1;
    }
    at + 1
}

/// Where field `index` of the line at `at` begins and ends.
const fn field(mut at: usize, index: usize) -> (usize, usize) {
    let mut skipped = 0;
    loop {
        let from = at;
        while TABLE[at] != b' ' && TABLE[at] != b'\n' {
            at += 1;
        }
        if skipped == index {
            return (from, at);
        }
        while TABLE[at] == b' ' {
            at += 1;
        }
        skipped += 1;
    }
}

const fn number(from: usize, to: usize) -> u32 {
    if TABLE[from] == b'-' {
        return ABSENT;
    }
    let mut value = 0;
    let mut i = from;
    while i < to {
        assert!(TABLE[i].is_ascii_digit(), "numbers.tbl has something else than a number");
        value = value * 10 + (TABLE[i] - b'0') as u32;
        i += 1;
    }
    value
}
