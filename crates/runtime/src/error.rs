//! The crate's error: one line that names the step, the object and the cause, and a kind for programs.

use std::fmt;

/// What sort of failure it is; the door makes exit codes and hints from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `config.json` (or another input file) says something that is wrong or can't be had.
    Config,
    /// A command was called with arguments that don't fit.
    Usage,
    /// There is no such container.
    NotFound,
    /// There is one already.
    Exists,
    /// What is kept of the container can't be read.
    Damaged,
    /// The container is not in a state that allows it.
    State,
    /// This kernel, machine or build can't do it.
    Unsupported,
    /// The caller may not.
    Permission,
    /// The container's program is missing or can't be executed.
    Program,
    /// A hook failed.
    Hook,
    /// A system call failed.
    System,
    /// Admission was refused.
    Refused,
}

/// A failure: `step: object: cause`, in one line.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    kind: Kind,
    message: String,
}

/// This crate's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A failure of `kind`; the message starts in lower case and has no full stop.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: brief(message.into()) }
    }

    /// What sort of failure it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The same failure, with what was being done in front: `what: message`.
    pub fn during(self, what: impl fmt::Display) -> Self {
        Self { message: brief(format!("{what}: {}", self.message)), ..self }
    }

    /// The same failure as another kind.
    pub fn into_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// All failures of a teardown as one, joined by `; `; `None` if there was none.
    pub fn all(errors: Vec<Self>) -> Option<Self> {
        let kind = errors.first()?.kind;
        let message = errors.iter().map(|e| e.message.as_str()).collect::<Vec<_>>().join("; ");
        Some(Self { kind, message })
    }
}

/// A word of a message is a field's value, or part of one: of what is longer than this, so many bytes are kept of its
/// beginning and its end.
const LONG: usize = 400;
const HEAD: usize = 150;
const TAIL: usize = 40;

/// A message whose words can be read, whatever it quotes.
pub fn brief(message: String) -> String {
    if message.len() <= LONG {
        return message;
    }
    let short = |word: &str| match word.len() > LONG {
        true => {
            let (head, tail) = (word.floor_char_boundary(HEAD), word.ceil_char_boundary(word.len() - TAIL));
            [&word[..head], "…", &word[tail..]].concat()
        }
        false => word.to_owned(),
    };
    message.split(' ').map(short).collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<forgeone_sys::Error> for Error {
    fn from(e: forgeone_sys::Error) -> Self {
        let kind = match e.errno() {
            forgeone_sys::Errno::PERM | forgeone_sys::Errno::ACCESS => Kind::Permission,
            forgeone_sys::Errno::NOSYS => Kind::Unsupported,
            _ => Kind::System,
        };
        Self::new(kind, e.to_string())
    }
}

/// Adds what was being done to a result's error.
pub trait During<T> {
    /// `what: message`; `what` is only formatted on failure.
    fn during<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Into<Error>> During<T> for std::result::Result<T, E> {
    fn during<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|e| e.into().during(what()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_at_length_leaves_step_and_cause() {
        let error = Error::new(Kind::Config, format!("{:?}: it is no path", "ä".repeat(100_000)));
        let message = error.during("process.cwd").during("create").to_string();
        let expected =
            format!("create: process.cwd: \"{}…{}\": it is no path", "ä".repeat(74), "ä".repeat(19));
        assert_eq!(message, expected);
        let whole = format!("{} {}", "x".repeat(LONG), "y ".repeat(1000));
        assert_eq!(Error::new(Kind::Config, whole.as_str()).to_string(), whole);
    }
}
