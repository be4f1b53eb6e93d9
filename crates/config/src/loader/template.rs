//! Templates: a text that becomes a configuration's when its values are known, in the language of Jinja.
//!
//! A value is written as JSON writes it, which YAML and TOML understand, so that none becomes more than a value. A name
//! that has no value is an error. A template reads no file and no environment.

use super::base::Chain;
use super::file::{load_text, read};
use crate::document::{place, Document, Format, MAX_BYTES};
use crate::sealed::NoKeys;
use crate::{ContainerConfig, Error, Kind, Result};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde_json::Value;
use std::io;

/// So many instructions a template may take, loops counted each time.
const FUEL: u64 = 1_000_000;

/// Loads a configuration from a template: a file such as `web.yaml.j2`, whose last extension is `j2` or `jinja`, with
/// values for its names. `extends` counts from the template's directory.
///
/// # Errors
/// As [`render_template`] and [`load_config_from_file`](crate::load_config_from_file); places are those of the rendered
/// text then, and the message says `(rendered)`.
pub fn load_config_from_template(path: &str, values: &Value) -> Result<ContainerConfig> {
    let load = |e: Error| e.during(format_args!("load {path}"));
    let format = inner(path).map_err(load)?;
    let text = read(path).and_then(|template| render(&template, values)).map_err(load)?;
    load_text(&text, format, &mut Chain::new(path, &NoKeys), &format!("{path} (rendered)"))?.1
}

/// The text of a template with these values, an object, for its names.
///
/// ```
/// use forgeone_config::render_template;
/// let values = serde_json::json!({"tag": "1.27", "ports": [80, 443]});
/// let template = "image: {{ 'nginx:' ~ tag }}\nlabels: {ports: {{ ports | join(' ') }}}\n";
/// let text = render_template(template, &values)?;
/// assert_eq!(text, "image: \"nginx:1.27\"\nlabels: {ports: \"80 443\"}\n");
/// let error = render_template("image: {{ imgae }}\n", &values).unwrap_err();
/// assert!(error.to_string().starts_with("render the template:1:"));
/// # Ok::<(), forgeone_config::Error>(())
/// ```
///
/// # Limits
/// A text of at most 4 MiB, made by at most a million instructions. What a single instruction may use isn't limited
/// (`x ~ x`, again and again, doubles a text), so that a stranger's template is for a process that has a limit, as
/// `forgeone config render` has.
///
/// # Errors
/// A template that can't be understood, with its place; a name without a value; too much of something.
pub fn render_template(template: &str, values: &Value) -> Result<String> {
    render(template, values).map_err(|e| e.during("render the template"))
}

/// Loads values for the names of a template from a file that is an object in JSON, YAML or TOML.
///
/// # Errors
/// A file that can't be read, isn't well-formed, or is no object.
pub fn load_values_from_file(path: &str) -> Result<serde_json::Map<String, Value>> {
    let load = |e: Error| e.during(format_args!("load {path}"));
    let format = Format::of_path(path).map_err(load)?;
    let document = read(path).and_then(|text| Document::parse(&text, format)).map_err(load)?;
    match document.to_value() {
        Value::Object(values) => Ok(values),
        _ => Err(load(Error::new(Kind::Content, "values are an object: names and what they stand for"))),
    }
}

/// The format of what the template becomes.
fn inner(path: &str) -> Result<Format> {
    let stem = path.strip_suffix(".j2").or_else(|| path.strip_suffix(".jinja"));
    let wrong = || {
        let message = "it is no template: their names end in .yaml.j2, .json.j2 or .toml.j2";
        Error::new(Kind::Unsupported, message)
    };
    Format::of_path(stem.ok_or_else(wrong)?)
}

fn render(template: &str, values: &Value) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Json);
    // So that a line with a tag alone leaves no empty line.
    let syntax =
        SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
    environment.set_syntax(syntax.map_err(|e| told(template, &e))?);
    environment.set_fuel(Some(FUEL));
    environment.set_debug(true);
    let fault = |e: minijinja::Error| told(template, &e);
    let compiled = environment.template_from_str(template).map_err(fault)?;
    let mut out = Bounded(Vec::new());
    let done = compiled.render_captured_to(Serde(values), &mut out);
    if let Err(e) = done {
        return Err(if out.0.len() > MAX_BYTES { too_large() } else { fault(e) });
    }
    // A template writes texts.
    String::from_utf8(out.0).map_err(|_| Error::new(Kind::Syntax, "it isn't UTF-8"))
}

fn too_large() -> Error {
    Error::new(Kind::Syntax, format!("it becomes more than {} MiB", MAX_BYTES >> 20))
}

/// The engine's error in our words, with its place.
fn told(template: &str, e: &minijinja::Error) -> Error {
    let kind = match e.kind() {
        minijinja::ErrorKind::OutOfFuel => format!("it takes more than {FUEL} instructions"),
        kind => kind.to_string(),
    };
    let message = e.detail().map_or(kind.clone(), |detail| format!("{kind}: {detail}"));
    let error = Error::new(Kind::Content, message);
    let line = e.line().and_then(|line| {
        template.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).reduce(|a, b| a + b)
    });
    match e.range().map(|range| range.start).or(line) {
        Some(at) => error.at(place(template, at)),
        None => error,
    }
}

/// Takes as much as a configuration may have, and then fails.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(&bytes[..bytes.len().min(MAX_BYTES + 1 - self.0.len())]);
        if self.0.len() > MAX_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
