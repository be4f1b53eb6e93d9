//! Vault's KV store, version 2 (Vault's HTTP API, "read secret version"): `MOUNT/PATH?key=KEY&version=N`.
//!
//! With a key, its text is the configuration; without one, what is stored there is it itself, key by key, or the text of
//! the only key if that is named as a file of configurations is.

use super::{file, get, of_key, patience, remote, variable, MAX_ANSWER};
use crate::{Error, Format, Kind, Result};
use forgeone_distribution::http::{escaped, Http, Request, Trust, Url};
use forgeone_distribution::Secret;
use serde_json::{Map, Value};
use std::path::Path;

pub(super) fn fetch(rest: &str) -> Result<(String, Format)> {
    let wrong = |message: &str| Error::new(Kind::Content, message);
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (mut key, mut version) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("key", value)) => key = Some(value),
            Some(("version", value)) if value.parse::<u64>().is_ok() => version = Some(value),
            _ => return Err(wrong("after ? there may be key=KEY and version=NUMBER, with & between")),
        }
    }
    let (mount, path) = path
        .split_once('/')
        .filter(|(mount, path)| !mount.is_empty() && !path.is_empty())
        .ok_or_else(|| wrong("it isn't vault://MOUNT/PATH"))?;
    let path: Vec<_> = path.split('/').map(escaped).collect();
    let address =
        variable("VAULT_ADDR").ok_or_else(|| wrong("VAULT_ADDR doesn't say where Vault is; set it"))?;
    let url = format!("{}/v1/{}/data/{}", address.trim_end_matches('/'), escaped(mount), path.join("/"));
    let mut url = Url::parse(&url).map_err(remote).map_err(|e| e.during("VAULT_ADDR"))?;
    if let Some(version) = version {
        url = url.with("version", version);
    }
    let token = token()?;
    let with = |request: Request| {
        let request = request.secret("x-vault-token", token).header("x-vault-request", "true");
        match variable("VAULT_NAMESPACE") {
            Some(namespace) => request.header("x-vault-namespace", namespace),
            None => request,
        }
    };
    let answer = get(&Http::new(patience(), trust()?), &url, with)?;
    let (good, failure) = (answer.is_success(), answer.failure());
    let bytes = answer.bytes(MAX_ANSWER).map_err(remote)?;
    let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    if !good {
        let reasons = answer["errors"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let mut reasons = reasons.collect::<Vec<_>>().join(", ");
        if !answer["data"]["metadata"].is_null() {
            reasons = "this version was deleted".to_owned();
        }
        return Err(remote(failure.with_cause(&reasons)));
    }
    match &answer["data"]["data"] {
        Value::Object(found) => chosen(found, key),
        _ => Err(Error::new(Kind::Remote, "what comes is no answer of a KV store, version 2")),
    }
}

fn chosen(found: &Map<String, Value>, key: Option<&str>) -> Result<(String, Format)> {
    let only = found.keys().next().filter(|key| found.len() == 1 && Format::of_path(key).is_ok());
    let Some(key) = key.or(only.map(String::as_str)) else {
        let text = Value::Object(found.clone()).to_string();
        return Ok((text, Format::Json));
    };
    match found.get(key) {
        Some(Value::String(text)) => of_key(key, text.clone()),
        Some(_) => Err(Error::new(Kind::Content, format!("what stands at {key:?} is no text"))),
        None => Err(Error::new(Kind::Remote, format!("there is no key {key:?} in it"))),
    }
}

/// `VAULT_TOKEN`, or what `vault login` has left.
fn token() -> Result<Secret> {
    if let Some(token) = variable("VAULT_TOKEN") {
        return Ok(Secret::new(token));
    }
    let home = variable("HOME").map(|home| Path::new(&home).join(".vault-token"));
    match home.filter(|path| path.exists()) {
        Some(path) => file(&path).map(Secret::new),
        None => Err(Error::new(
            Kind::Remote,
            "there is neither VAULT_TOKEN nor ~/.vault-token; log in with vault login",
        )),
    }
}

fn trust() -> Result<Trust> {
    if variable("VAULT_SKIP_VERIFY").is_some_and(|skip| skip != "0" && skip != "false") {
        let message = "VAULT_SKIP_VERIFY asks to trust anybody: refused; name the authority by VAULT_CACERT";
        return Err(Error::new(Kind::Unsupported, message));
    }
    let identity_pem = match (variable("VAULT_CLIENT_CERT"), variable("VAULT_CLIENT_KEY")) {
        (Some(certificate), Some(key)) => {
            Some((file(Path::new(&certificate))?.into_bytes(), Secret::new(file(Path::new(&key))?)))
        }
        _ => None,
    };
    let authorities = variable("VAULT_CACERT").into_iter().map(Into::into).collect();
    Ok(Trust { authorities, identity_pem, ..Trust::default() })
}
