//! `validate`: all findings of all files, each with its line.

use super::{keys, print};
use crate::arguments::Arguments;
use crate::bounded;
use crate::failure::Failure;
use forgeone_config::rules::Rules;
use forgeone_config::{Document, Finding, Severity, load_encrypted_document, source_name, strict};
use serde_json::{Value, json};
use std::ffi::OsString;

pub(super) const HELP: &str = "\
validate [options] <sources...>

Each finding is a line: source, line and column, how bad it is, which value, why,
and the way out. Limits are compared with what this machine has. The exit status
is 0 if there are only warnings, 1 if there are errors, 2 if a source can't be read.

options:
      --strict                   warnings are errors
      --rules FILE               judge by rules of your own, too; several times
      --format FORMAT            text or json (text)
      --identity FILE            opens what is encrypted; see 'decrypt --help' for
                                 this, --passphrase, --passphrase-file and -env
";

pub(super) fn run(words: Vec<OsString>) -> Result<Option<u8>, Failure> {
    // Rules may be endless.
    let rules = |word: &OsString| word.to_string_lossy().starts_with("--rules");
    if let Some(status) =
        words.iter().any(rules).then(|| bounded::apart("validate", &words)).transpose()?.flatten()
    {
        return Ok(Some(status));
    }
    let switches = [keys::SWITCHES, &["strict"]].concat();
    let valued = [keys::OPENING, &["format", "rules"]].concat();
    let read = Arguments::read(words, &switches, &valued, (1, usize::MAX))?;
    let Some(arguments) = read else { return Ok(None) };
    let json = arguments.choice("format", &["text", "json"])? == "json";
    let identities = keys::identities(&arguments)?;
    let rules: Vec<Rules> = arguments.values("rules").map(Rules::load).collect::<Result<_, _>>()?;
    let (mut text, mut values, mut failed) = (String::new(), Vec::new(), false);
    for source in arguments.words() {
        let (document, config) = load_encrypted_document(source, &identities)?;
        let file = source_name(source);
        let config = config?;
        let mut findings = config.check();
        for rules in &rules {
            findings.extend(config.masked(rules.check(config.config())));
        }
        if arguments.switch("strict") {
            findings = strict(findings);
        }
        failed |= findings.iter().any(|finding| finding.severity == Severity::Error);
        for finding in &findings {
            let place = document.place_of(&finding.path);
            text.push_str(&format!("{file}:{}:{}: {finding}\n", place.line, place.column));
            values.push(value(file, finding, &document));
        }
    }
    print(&if json { format!("{:#}\n", Value::from(values)) } else { text })?;
    Ok(Some(u8::from(failed)))
}

fn value(file: &str, finding: &Finding, document: &Document) -> Value {
    let place = document.place_of(&finding.path);
    json!({
        "file": file,
        "line": place.line,
        "column": place.column,
        "severity": finding.severity.to_string(),
        "code": finding.code,
        "path": finding.path,
        "value": finding.value,
        "reason": finding.reason,
        "help": finding.help,
    })
}
