//! Kubernetes' ConfigMaps and Secrets (API v1): `NAMESPACE/configmap/NAME[/KEY]`. Without a key there has to be one alone.

use super::kubeconfig::{self, Cluster};
use super::{get, of_key, patience, remote, utf8, MAX_ANSWER};
use crate::{Error, Format, Kind, Result};
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use forgeone_distribution::http::{Http, Request, Url};
use forgeone_distribution::Secret;
use serde_json::Value;

pub(super) fn fetch(rest: &str) -> Result<(String, Format)> {
    let wrong =
        || Error::new(Kind::Content, "it isn't k8s://NAMESPACE/configmap/NAME[/KEY] or …/secret/NAME[/KEY]");
    let words: Vec<_> = rest.split('/').collect();
    let (namespace, kind, name, key) = match words.as_slice() {
        [namespace, kind, name] => (namespace, kind, name, None),
        [namespace, kind, name, key] => (namespace, kind, name, Some(*key)),
        _ => return Err(wrong()),
    };
    // What could lead elsewhere in the API is no name of anything in it.
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let named = |word: &str| word.starts_with(|c: char| c.is_ascii_alphanumeric()) && word.chars().all(plain);
    let plural = match *kind {
        "configmap" => "configmaps",
        "secret" => "secrets",
        _ => return Err(wrong()),
    };
    if !named(namespace) || !named(name) || key.is_some_and(str::is_empty) {
        return Err(wrong());
    }
    let Cluster { server, trust, token } = kubeconfig::cluster()?;
    let url = format!("{}/api/v1/namespaces/{namespace}/{plural}/{name}", server.trim_end_matches('/'));
    let url = Url::parse(&url).map_err(remote)?;
    let with = |request: Request| {
        let request = request.header("accept", "application/json");
        match token {
            Some(token) => request.secret("authorization", Secret::new(format!("Bearer {}", token.expose()))),
            None => request,
        }
    };
    let answer = get(&Http::new(patience(), trust), &url, with)?;
    let (good, failure) = (answer.is_success(), answer.failure());
    let bytes = answer.bytes(MAX_ANSWER).map_err(remote)?;
    let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    if !good {
        return Err(remote(failure.with_cause(answer["message"].as_str().unwrap_or_default())));
    }
    chosen(&answer, *kind == "secret", key)
}

fn chosen(answer: &Value, secret: bool, key: Option<&str>) -> Result<(String, Format)> {
    let data = answer["data"].as_object().filter(|data| !data.is_empty());
    let data = data.ok_or_else(|| Error::new(Kind::Remote, "it has no data"))?;
    let mut keys = data.keys();
    let key = match (key, keys.next(), keys.next()) {
        (Some(key), ..) => key,
        (None, Some(only), None) => only,
        _ => {
            let names: Vec<_> = data.keys().map(String::as_str).collect();
            let message = format!("it has several keys: {}; add / and one of them", names.join(", "));
            return Err(Error::new(Kind::Content, message));
        }
    };
    let text = data.get(key).and_then(Value::as_str);
    let text = text.ok_or_else(|| Error::new(Kind::Remote, format!("there is no key {key:?} in it")))?;
    if !secret {
        return of_key(key, text.to_owned());
    }
    let bytes =
        STANDARD.decode(text).map_err(|_| Error::new(Kind::Content, format!("{key:?} is no base64")))?;
    of_key(key, utf8(bytes)?)
}
