//! From other machines, by the scheme of a URL. What comes is bounded in size and time; what is secret on the way (tokens,
//! keys, what a URL asks for) is in no message.

mod kubeconfig;
mod kubernetes;
mod vault;

use super::file::Loaded;
use super::registry;
use crate::document::{Document, MAX_BYTES};
use crate::sealed::{self, Hidden, Unseal};
use crate::{version, Error, Format, Kind, Result};
use forgeone_distribution::http::{is_loopback, Http, Patience, Request, Response, Trust, Url};
use std::time::Duration;

/// How long one attempt to fetch something may take in all.
const TIME: Duration = Duration::from_secs(60);

/// What an answer may have: a document as a text in JSON, or in base64.
const MAX_ANSWER: usize = 2 * MAX_BYTES;

/// What the schemes are called.
const SCHEMES: [&str; 5] = ["http://", "https://", "oci://", "vault://", "k8s://"];

/// Whether it is a URL that configurations are loaded from, and no file's name.
pub(super) fn is_remote(source: &str) -> bool {
    SCHEMES.iter().any(|scheme| source.starts_with(scheme))
}

/// What the text at a URL says, which may be encrypted, and extends no files.
pub(super) fn load(url: &str, keys: &dyn Unseal) -> Result<Loaded> {
    let load = |e: Error| e.during(format_args!("load {}", shown(url)));
    let (bytes, format) = match url.strip_prefix("oci://") {
        Some(reference) => (registry::load_text(reference).map_err(load)?.into_bytes(), Format::Json),
        None => fetch(url).map_err(load)?,
    };
    let mut hidden = Hidden::default();
    let document = if sealed::is_file(&bytes) {
        hidden.all = true;
        keys.file(&bytes).and_then(|text| Document::parse_hidden(&text, format))
    } else {
        utf8(bytes).and_then(|text| Document::parse(&text, format))
    };
    let mut document = document.map_err(load)?;
    let config = sealed::open(&mut document, keys).and_then(|()| {
        super::base::refuse(&document)?;
        version::decode(&mut document)
    });
    hidden.extend(&document.hidden);
    Ok((document, config.map_err(load), hidden))
}

/// A URL without what may be secret in it.
pub(super) fn shown(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

fn fetch(url: &str) -> Result<(Vec<u8>, Format)> {
    if let Some(rest) = url.strip_prefix("vault://") {
        return vault::fetch(rest).map(|(text, format)| (text.into_bytes(), format));
    }
    if let Some(rest) = url.strip_prefix("k8s://") {
        return kubernetes::fetch(rest).map(|(text, format)| (text.into_bytes(), format));
    }
    let url = Url::parse(url).map_err(remote)?;
    let answer = get(&Http::new(patience(), Trust::default()), &url, |request| request)?;
    if !answer.is_success() {
        return Err(remote(answer.failure()));
    }
    let format = Format::of_path(url.path()).or_else(|unnamed| of_type(&answer).ok_or(unnamed))?;
    Ok((answer.bytes(MAX_BYTES).map_err(remote)?, format))
}

/// By the media type of an answer.
fn of_type(answer: &Response) -> Option<Format> {
    let kind = answer.header("content-type")?.split(';').next()?.trim().to_ascii_lowercase();
    Some(match kind.as_str() {
        "application/json" => Format::Json,
        "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" => Format::Yaml,
        "application/toml" | "text/toml" => Format::Toml,
        _ => return None,
    })
}

fn patience() -> Patience {
    Patience {
        connect: Duration::from_secs(10),
        idle: Duration::from_secs(30),
        attempts: 3,
        ..Patience::default()
    }
}

/// Asks for something; over plain HTTP of this machine alone, also after redirects.
fn get(http: &Http, url: &Url, with: impl FnOnce(Request) -> Request) -> Result<Response> {
    let plain = |url: &Url| !url.is_https() && !is_loopback(url.host());
    let refused = |url: &Url| {
        let message = format!("{url} has no TLS, so that it could be changed on its way; use https");
        Error::new(Kind::Remote, message)
    };
    if plain(url) {
        return Err(refused(url));
    }
    let answer = http.send(&with(Request::get(url.clone()).within(TIME)), None).map_err(remote)?;
    if plain(answer.url()) {
        Err(refused(answer.url()))
    } else {
        Ok(answer)
    }
}

fn remote(error: forgeone_distribution::Error) -> Error {
    Error::new(Kind::Remote, error.to_string())
}

fn utf8(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| Error::new(Kind::Syntax, "it is no UTF-8"))
}

/// A text that stands at a key, in the format that the key's extension names; YAML, and so JSON as well, without one.
fn of_key(key: &str, text: String) -> Result<(String, Format)> {
    if text.len() > MAX_BYTES {
        return Err(Error::new(Kind::Syntax, format!("it has more than {} MiB", MAX_BYTES >> 20)));
    }
    let format = if key.contains('.') { Format::of_path(key)? } else { Format::Yaml };
    Ok((text, format))
}

/// A file's text, without its last line feed: of a token, say.
fn file(path: &std::path::Path) -> Result<String> {
    let text = super::file::read(&path.to_string_lossy());
    let text = text.map_err(|e| e.during(format_args!("read {}", path.display())))?;
    Ok(text.trim_end().to_owned())
}

/// An environment variable that says something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
