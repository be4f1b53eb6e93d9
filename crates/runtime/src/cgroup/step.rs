//! What is written into a group: plain data, in order.

use crate::error::{Error, Kind, Result};
use std::borrow::Cow;

/// One step of setting a group's limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// One file.
    Write(Write),
    /// Files whose values bound each other (`memory.limit_in_bytes` and `memory.memsw.limit_in_bytes`): written in
    /// this order, and what the kernel refused with EINVAL once more after the rest. On a fresh group the first
    /// round does it; when limits are changed, the right order depends on the old values.
    Together(Vec<Write>),
    /// Refuse to go on when the number in `file` is `limit` or more (`checkBeforeUpdate`).
    Below {
        /// The field that asks for it, as in `config.json`.
        field: Cow<'static, str>,
        /// File in the group.
        file: &'static str,
        /// In the file's unit.
        limit: u64,
    },
}

/// A value for a file of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The field that asks for it, as in `config.json`: `linux.resources.memory.limit`.
    pub field: Cow<'static, str>,
    /// File name.
    pub file: Cow<'static, str>,
    /// What is written, in one write.
    pub value: String,
    /// What it means when the file isn't there.
    pub absent: Absent,
}

/// What it means when a file isn't there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absent {
    /// The field can't be had.
    Refuse,
    /// There is nothing to limit, so that nothing is to be done.
    Ignore,
    /// Another file does the same.
    Instead(&'static str, String),
}

impl Step {
    /// The field that asks for it.
    pub fn field(&self) -> &str {
        match self {
            Self::Write(write) => &write.field,
            Self::Together(writes) => writes.first().map_or("linux.resources", |write| &write.field),
            Self::Below { field, .. } => field,
        }
    }
}

impl Step {
    /// The files that it may write.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        let writes = match self {
            Self::Write(write) => std::slice::from_ref(write),
            Self::Together(writes) => writes,
            Self::Below { .. } => &[],
        };
        writes.iter().flat_map(|write| {
            let instead = match &write.absent {
                Absent::Instead(file, _) => Some(*file),
                Absent::Refuse | Absent::Ignore => None,
            };
            std::iter::once(&*write.file).chain(instead)
        })
    }
}

impl Write {
    /// A value that has to be set.
    pub(super) fn new(
        field: impl Into<Cow<'static, str>>,
        file: impl Into<Cow<'static, str>>,
        value: impl ToString,
    ) -> Self {
        Self { field: field.into(), file: file.into(), value: value.to_string(), absent: Absent::Refuse }
    }

    /// The same, but nothing is to be done where the file isn't there.
    pub(super) fn if_there(self) -> Self {
        Self { absent: Absent::Ignore, ..self }
    }

    /// The same, but `file` gets `value` where the first file isn't there.
    pub(super) fn or(self, file: &'static str, value: impl ToString) -> Self {
        Self { absent: Absent::Instead(file, value.to_string()), ..self }
    }
}

/// A list of steps in the making.
#[derive(Default)]
pub(super) struct Steps(pub(super) Vec<Step>);

impl Steps {
    /// One file.
    pub(super) fn write(&mut self, write: Write) {
        self.0.push(Step::Write(write));
    }

    /// Those of `writes` that are there, bound to each other if they are several.
    pub(super) fn together<const N: usize>(&mut self, writes: [Option<Write>; N]) {
        let mut writes: Vec<Write> = writes.into_iter().flatten().collect();
        match writes.len() {
            0 => {}
            1 => self.0.extend(writes.pop().map(Step::Write)),
            _ => self.0.push(Step::Together(writes)),
        }
    }
}

/// A field that is wrong in itself or can't be had.
pub(super) fn refuse<T>(field: impl std::fmt::Display, why: impl std::fmt::Display) -> Result<T> {
    Err(Error::new(Kind::Config, format!("{field}: {why}")))
}
