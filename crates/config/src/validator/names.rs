//! Words, paths and domain names.

use super::report::Report;

/// A name of a container, volume or secret: letters, digits, `_`, `.` and `-`, of which the first is a letter or digit.
pub(super) fn is_name(name: &str) -> bool {
    name.len() <= 128
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// Refuses what is no name.
pub(super) fn name(report: &mut Report, key: &str, code: &'static str, name: &str) {
    if !is_name(name) {
        let reason =
            "a name has letters, digits, _, . and -, begins with a letter or digit, and is at most 128 long";
        report.error(key, code, name, reason, "choose such a name");
    }
}

/// Refuses a path that isn't absolute or makes detours.
pub(super) fn path(report: &mut Report, key: &str, code: &'static str, path: &str) -> bool {
    if !path.starts_with('/') {
        let reason = "the path isn't absolute";
        report.error(key, code, path, reason, format!("begin with /: {:?}", normal(&format!("/{path}"))));
    } else if path.chars().any(char::is_control) {
        report.error(key, code, path, "the path has a control character", "leave it out");
    } else if path.split('/').any(|part| part == "..") {
        let help = format!("write where it leads: {:?}", normal(path));
        report.error(key, code, path, "the path goes up by ..", help);
    } else if normal(path) != path {
        let help = format!("write {:?}", normal(path));
        report.error(key, code, path, "the path makes detours (//, /. or a / at its end)", help);
    } else {
        return true;
    }
    false
}

/// The path without detours, by its letters.
fn normal(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match part {
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Refuses an empty text, and one that the kernel couldn't be given.
pub(super) fn argument(report: &mut Report, key: &str, code: &'static str, text: &str, may_be_empty: bool) {
    if text.contains('\0') {
        report.error(key, code, text, "it has a NUL byte, which ends a text for the kernel", "leave it out");
    } else if text.is_empty() && !may_be_empty {
        report.error(key, code, text, "it is empty", "leave the field out, or fill it");
    }
}
