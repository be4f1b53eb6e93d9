//! Users' own rules: expressions of [CEL](https://cel.dev) that a configuration has to fulfil.
//!
//! ```yaml
//! rules:
//!   - name: not-root
//!     expression: has(config.user) && config.user != "root"
//!     message: containers don't run as root
//!     path: user        # where the finding stands; optional
//!     severity: warning # or error, which it is where absent
//! ```
//!
//! `config` is the configuration as JSON; whole numbers are `int` where they fit. A rule that is false is a finding, and
//! so is one that can't be judged: one that asks for a key that isn't there, without `has`.
//!
//! A rule may be [`MAX_LENGTH`] bytes long with [`MAX_NESTING`] brackets in each other, a file has at most
//! [`MAX_RULES`], and each takes at most [`MAX_TIME`]; what doesn't end by then goes on in a thread of its own until it
//! does, so that strangers' rules are for a process that has limits, as `forgeone config validate` has.

use crate::document::{Document, Fault, Format};
use crate::loader::read_text_from_file;
use crate::saver::tree;
use crate::{ContainerConfig, Error, Finding, Kind, Result, Severity};
use cel::{Context, ExecutionError, Program};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// A rule's length, in bytes.
pub const MAX_LENGTH: usize = 4096;

/// Brackets of a rule in each other.
pub const MAX_NESTING: usize = 32;

/// Rules of a file.
pub const MAX_RULES: usize = 1000;

/// A rule's time.
pub const MAX_TIME: Duration = Duration::from_secs(2);

/// Enough for what [`MAX_LENGTH`] bytes can nest without brackets.
const STACK: usize = 64 << 20;

/// Rules, each of which was understood.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    rules: Vec<Rule>,
}

/// A rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    name: String,
    expression: String,
    message: String,
    path: Option<String>,
    #[serde(default)]
    severity: Level,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Warning,
    #[default]
    Error,
}

impl Rules {
    /// Loads rules from a file: JSON, YAML or TOML by its extension.
    ///
    /// # Errors
    /// A file that can't be read, and what [`Rules::parse`] refuses.
    pub fn load(path: &str) -> Result<Self> {
        let text = read_text_from_file(path)?;
        let rules = Format::of_path(path).and_then(|format| Self::read(&text, format));
        rules.map_err(|e| e.during(format_args!("load {path}")))
    }

    /// Makes rules of a text.
    ///
    /// ```
    /// use forgeone_config::{parse_config, rules::Rules, Format};
    /// let rules = "rules:
    ///   - {name: not-root, path: user, message: nobody is root, expression: 'has(config.user) && config.user != \"root\"'}
    /// ";
    /// let rules = Rules::parse(rules, Format::Yaml)?;
    /// let config = parse_config("{image: nginx, user: root}", Format::Yaml)?;
    /// let findings = rules.check(&config);
    /// assert_eq!(findings[0].to_string(), "error: user: nobody is root; rule \"not-root\" asks for it [rule]");
    /// # Ok::<(), forgeone_config::Error>(())
    /// ```
    ///
    /// # Errors
    /// What isn't well-formed or no list of rules, with its place; an expression that isn't one of CEL, or too large.
    pub fn parse(text: &str, format: Format) -> Result<Self> {
        Self::read(text, format).map_err(|e| e.during("parse the rules"))
    }

    fn read(text: &str, format: Format) -> Result<Self> {
        let document = Document::parse(text, format)?;
        let rules: Self = document.decode()?;
        if rules.rules.len() > MAX_RULES {
            return Err(Error::new(Kind::Content, format!("there are more than {MAX_RULES} rules")));
        }
        for (number, rule) in rules.rules.iter().enumerate() {
            let path = format!("rules[{number}].expression");
            let understood = bounded(&rule.expression).and_then(|()| {
                let expression = rule.expression.clone();
                within(move || compile(&expression).map(drop))
            });
            understood.map_err(|e| {
                let message = format!("{path}: rule {:?}: {e}", rule.name);
                let at = Some(document.offset_of(&path));
                document.error(Fault { kind: Kind::Content, at, path: Vec::new(), message })
            })?;
        }
        Ok(rules)
    }

    /// What the rules find, in their order. The code of each finding is `rule`.
    pub fn check(&self, config: &ContainerConfig) -> Vec<Finding> {
        let tree = match tree(config) {
            Ok(tree) => tree,
            Err(e) => return vec![self.finding("config", e.to_string(), "correct it", Severity::Error)],
        };
        self.rules.iter().filter_map(|rule| self.judge(rule, &tree)).collect()
    }

    fn judge(&self, rule: &Rule, tree: &serde_json::Value) -> Option<Finding> {
        let (expression, tree) = (rule.expression.clone(), tree.clone());
        let path = rule.path.as_deref().unwrap_or("config");
        let severity = match rule.severity {
            Level::Warning => Severity::Warning,
            Level::Error => Severity::Error,
        };
        match within(move || evaluate(&expression, &tree)) {
            Ok(true) => None,
            Ok(false) => Some(self.finding(
                path,
                rule.message.clone(),
                &format!("rule {:?} asks for it", rule.name),
                severity,
            )),
            Err(e) => {
                let reason = format!("rule {:?} can't be judged: {e}", rule.name);
                Some(self.finding(path, reason, "mend the rule", Severity::Error))
            }
        }
    }

    fn finding(&self, path: &str, reason: String, help: &str, severity: Severity) -> Finding {
        let (path, help) = (path.to_owned(), help.to_owned());
        Finding { path, code: "rule", value: String::new(), reason, help, severity }
    }
}

/// Refuses what is too long or deep.
fn bounded(expression: &str) -> Result<(), String> {
    if expression.len() > MAX_LENGTH {
        return Err(format!("it has more than {MAX_LENGTH} bytes"));
    }
    let (mut depth, mut most) = (0usize, 0);
    for byte in expression.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        most = most.max(depth);
    }
    if most > MAX_NESTING {
        return Err(format!("it has more than {MAX_NESTING} brackets in each other"));
    }
    Ok(())
}

/// Does work in a thread of its own, for as long as a rule may take.
fn within<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    let (sender, receiver) = mpsc::channel();
    let worker = std::thread::Builder::new().name("rule".to_owned()).stack_size(STACK);
    // Who waits may have gone by the time it is done.
    let started = worker.spawn(move || drop(sender.send(work())));
    started.map_err(|e| format!("no thread for it: {e}"))?;
    match receiver.recv_timeout(MAX_TIME) {
        Ok(done) => done,
        Err(RecvTimeoutError::Timeout) => Err(format!("it takes more than {} s", MAX_TIME.as_secs())),
        Err(RecvTimeoutError::Disconnected) => Err("it is more than the library for CEL can do".to_owned()),
    }
}

fn compile(expression: &str) -> Result<Program, String> {
    Program::compile(expression).map_err(|e| {
        let first = e.errors.first().map(|e| format!("at {}:{}: {}", e.pos.0, e.pos.1, e.msg));
        format!("it isn't CEL: {}", first.unwrap_or_default().replace('\n', " "))
    })
}

fn evaluate(expression: &str, tree: &serde_json::Value) -> Result<bool, String> {
    let program = compile(expression)?;
    let mut context = Context::default();
    context.add_variable_from_value("config", value(tree));
    match program.execute(&context) {
        Ok(cel::Value::Bool(fulfilled)) => Ok(fulfilled),
        Ok(other) => Err(format!("it is a value of type {}, not true or false", other.type_of())),
        Err(ExecutionError::NoSuchKey(key)) => {
            Err(format!("there is no {key}; has(….{key}) asks whether there is"))
        }
        Err(ExecutionError::UndeclaredReference(name)) => {
            Err(format!("{name} isn't known; the configuration is called config"))
        }
        Err(e) => Err(e.to_string().replace('\n', " ").chars().take(200).collect()),
    }
}

fn value(tree: &serde_json::Value) -> cel::Value {
    match tree {
        serde_json::Value::Null => cel::Value::Null,
        serde_json::Value::Bool(value) => (*value).into(),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.into(),
            (_, Some(number)) => number.into(),
            _ => number.as_f64().unwrap_or_default().into(),
        },
        serde_json::Value::String(text) => text.as_str().into(),
        serde_json::Value::Array(items) => items.iter().map(value).collect::<Vec<_>>().into(),
        serde_json::Value::Object(map) => {
            map.iter().map(|(key, item)| (key.clone(), value(item))).collect::<HashMap<_, _>>().into()
        }
    }
}
