//! The client's error: one line with step, object, cause and way out.

use std::fmt;

/// What sort of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The registry isn't there, hangs, has too much to do or fails; later it may work.
    Unavailable,
    /// The connection can't be trusted: a certificate, plain HTTP.
    Insecure,
    /// Nobody said who is asking, or it wasn't believed.
    Credentials,
    /// Whoever asks may not.
    Denied,
    /// It isn't there.
    NotFound,
    /// What came isn't what was asked for: wrong digest, size, media type, or no answer of a registry at all.
    Content,
    /// The registry refuses it, or can't do it.
    Refused,
    /// A file or program of this machine: auth files, credential helpers, certificates, the writer.
    System,
}

/// A failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    message: String,
    help: Option<String>,
    /// Whether the same request may succeed if it is sent once more.
    transient: bool,
}

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: Kind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string(), help: None, transient: false }
    }

    pub(crate) fn transient(kind: Kind, message: impl fmt::Display) -> Self {
        Self { transient: true, ..Self::new(kind, message) }
    }

    /// The same with a way out, if there is none yet.
    pub(crate) fn or_help(self, help: impl Into<String>) -> Self {
        Self { help: self.help.or_else(|| Some(help.into())), ..self }
    }

    /// The same failure with more about it.
    pub fn with_cause(self, cause: &str) -> Self {
        let cause = line(cause);
        if cause.is_empty() { self } else { Self { message: format!("{}: {cause}", self.message), ..self } }
    }

    /// The same failure, with what was being done in front.
    pub fn during(self, what: impl fmt::Display) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }

    /// What sort of failure it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn is_transient(&self) -> bool {
        self.transient
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// Foreign text as part of a line: without control characters, and not too long.
pub(crate) fn line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let mut line: String = text.trim().chars().take(200).map(plain).collect();
    if text.trim().chars().nth(200).is_some() {
        line.push('…');
    }
    line
}
