//! The crate's error: one line that names the step, the object, the cause and the way out; for what stands in a text
//! also where.

use crate::Finding;
use std::fmt;

/// What sort of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file couldn't be read or written.
    System,
    /// It isn't JSON, YAML or TOML, as it claims to be, or is too large.
    Syntax,
    /// It is well-formed, but no configuration: a key that isn't known, a wrong type.
    Content,
    /// It is a configuration, but not a valid one: [`Error::findings`] says why.
    Invalid,
    /// It is encrypted, and nothing that was given opens it.
    Encrypted,
    /// A registry or another server isn't there, can't be trusted, or doesn't give or take it.
    Remote,
    /// This build or version can't do it.
    Unsupported,
}

/// A place in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The line's text, shortened if it is long.
    pub text: String,
    /// Where in `text` the column is, in characters from 0.
    pub mark: usize,
}

/// A failure. `{}` is one line; `{:#}` also shows the line of the text that it is about, if there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    kind: Kind,
    message: String,
    place: Option<Place>,
    findings: Vec<Finding>,
}

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), place: None, findings: Vec::new() }
    }

    pub(crate) fn at(self, place: Place) -> Self {
        Self { place: Some(place), ..self }
    }

    /// What was found, of which something is an error.
    pub(crate) fn invalid(findings: Vec<Finding>) -> Self {
        let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
        Self { findings, ..Self::new(Kind::Invalid, format!("validate: {}", lines.join("; "))) }
    }

    /// The same failure, with what was being done in front.
    pub(crate) fn during(self, what: impl fmt::Display) -> Self {
        let message = match &self.place {
            Some(place) => format!("{what}:{}:{}: {}", place.line, place.column, self.message),
            None => format!("{what}: {}", self.message),
        };
        Self { message, ..self }
    }

    /// The same failure, with more said behind it.
    pub(crate) fn followed(self, what: impl fmt::Display) -> Self {
        Self { message: format!("{}{what}", self.message), ..self }
    }

    /// What sort of failure it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where in the text it is.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// All that validation found, warnings too, if that is what failed.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.place {
            Some(place) if f.alternate() => write!(f, "\n{place}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Place {
    /// The line with its number, and below it a mark.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let width = self.line.to_string().len();
        write!(f, " {} | {}\n {:width$} | {:mark$}^", self.line, self.text, "", "", mark = self.mark)
    }
}

impl std::error::Error for Error {}
