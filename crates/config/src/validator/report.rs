//! A finding, and the list that checks write into.

use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It works, but probably not as meant.
    Warning,
    /// It can't work.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// Something that validation found. Shown it is `severity: path: value: reason; help [code]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which value: `network.ports[2].host_port`.
    pub path: String,
    /// What sort of finding: a word that never changes, `ports.conflict`.
    pub code: &'static str,
    /// The value, in quotes if it is a text; empty if it is missing.
    pub value: String,
    /// Why.
    pub reason: String,
    /// The way out.
    pub help: String,
    /// How bad it is.
    pub severity: Severity,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}: ", self.severity, self.path)?;
        if !self.value.is_empty() {
            write!(f, "{}: ", self.value)?;
        }
        write!(f, "{}; {} [{}]", self.reason, self.help, self.code)
    }
}

/// The same findings with every warning an error: the strict mode.
pub fn strict(findings: Vec<Finding>) -> Vec<Finding> {
    findings.into_iter().map(|finding| Finding { severity: Severity::Error, ..finding }).collect()
}

/// What was found so far, and where in the configuration we are.
#[derive(Debug, Default)]
pub(super) struct Report {
    findings: Vec<Finding>,
    path: String,
}

impl Report {
    pub(super) fn findings(self) -> Vec<Finding> {
        self.findings
    }

    /// Checks a part at this key.
    pub(super) fn within(&mut self, key: &str, check: impl FnOnce(&mut Self)) {
        let outside = self.path.len();
        if !self.path.is_empty() && !key.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(key);
        check(self);
        self.path.truncate(outside);
    }

    /// Checks each item of the list at this key.
    pub(super) fn each<'a, T>(
        &mut self,
        key: &str,
        items: impl IntoIterator<Item = &'a T>,
        check: impl Fn(&mut Self, usize, &'a T),
    ) where
        T: ?Sized + 'a,
    {
        for (index, item) in items.into_iter().enumerate() {
            self.within(key, |report| {
                report.within(&format!("[{index}]"), |report| check(report, index, item))
            });
        }
    }

    /// An error at the key below here (or here, if it is empty).
    pub(super) fn error(
        &mut self,
        key: &str,
        code: &'static str,
        value: impl fmt::Debug,
        reason: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add(Severity::Error, key, code, format!("{value:?}"), reason.into(), help.into());
    }

    /// A warning, likewise.
    pub(super) fn warning(
        &mut self,
        key: &str,
        code: &'static str,
        value: impl fmt::Debug,
        reason: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add(Severity::Warning, key, code, format!("{value:?}"), reason.into(), help.into());
    }

    /// Something that isn't there.
    pub(super) fn missing(
        &mut self,
        severity: Severity,
        key: &str,
        code: &'static str,
        reason: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add(severity, key, code, String::new(), reason.into(), help.into());
    }

    fn add(
        &mut self,
        severity: Severity,
        key: &str,
        code: &'static str,
        value: String,
        reason: String,
        help: String,
    ) {
        let here = match key {
            "" => self.path.clone(),
            _ if self.path.is_empty() => key.to_owned(),
            _ => format!("{}.{key}", self.path),
        };
        self.findings.push(Finding { path: here, code, value: shortened(value), reason, help, severity });
    }
}

/// A long value's beginning.
fn shortened(value: String) -> String {
    match value.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value,
    }
}
