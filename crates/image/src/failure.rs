//! A failure: its message and the exit status that it makes.

use std::fmt;

#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    status: u8,
}

impl Failure {
    /// Exit status 1.
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), status: 1 }
    }

    /// The same with another exit status.
    pub(crate) fn with_status(self, status: u8) -> Self {
        Self { status, ..self }
    }

    /// The same, with what was being done in front.
    pub(crate) fn during(self, what: impl fmt::Display) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }

    /// The same, with more said behind it.
    pub(crate) fn followed(self, what: impl fmt::Display) -> Self {
        Self { message: format!("{}{what}", self.message), ..self }
    }

    pub(crate) fn status(&self) -> u8 {
        self.status
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<forgeone_config::Error> for Failure {
    /// With the line of the file that it is about.
    fn from(error: forgeone_config::Error) -> Self {
        Self::new(format_args!("{error:#}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(format_args!("write to standard output: {error}"))
    }
}

impl From<forgeone_sys::Error> for Failure {
    fn from(error: forgeone_sys::Error) -> Self {
        Self::new(error)
    }
}

impl From<forgeone_runtime::Error> for Failure {
    fn from(error: forgeone_runtime::Error) -> Self {
        Self::new(error)
    }
}
