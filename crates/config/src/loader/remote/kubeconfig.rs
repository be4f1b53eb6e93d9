//! Which cluster of Kubernetes, and who asks: files of kubectl (`KUBECONFIG`, `~/.kube/config`), or inside a Pod the
//! account that it was given.

use super::{file, variable};
use crate::document::Document;
use crate::{Error, Format, Kind, Result};
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use forgeone_distribution::http::Trust;
use forgeone_distribution::Secret;
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Where a Pod finds its account.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Where its API is, and how it is spoken with.
pub(super) struct Cluster {
    pub(super) server: String,
    pub(super) trust: Trust,
    pub(super) token: Option<Secret>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct Content {
    current_context: String,
    contexts: Vec<Value>,
    clusters: Vec<Value>,
    users: Vec<Value>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct Context {
    cluster: String,
    user: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct Server {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    insecure_skip_tls_verify: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct User {
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    exec: Option<Value>,
    auth_provider: Option<Value>,
}

/// The cluster that the files or the Pod name.
pub(super) fn cluster() -> Result<Cluster> {
    let home = || variable("HOME").map(|home| format!("{home}/.kube/config"));
    let named = variable("KUBECONFIG").or_else(|| home().filter(|path| Path::new(path).exists()));
    match named {
        Some(paths) => of_files(&paths),
        None => of_pod(),
    }
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(Kind::Remote, message)
}

fn of_pod() -> Result<Cluster> {
    let (host, port) = (variable("KUBERNETES_SERVICE_HOST"), variable("KUBERNETES_SERVICE_PORT"));
    let none = "there is neither KUBECONFIG nor ~/.kube/config, nor is this a Pod; set KUBECONFIG";
    let host = host.ok_or_else(|| wrong(none))?;
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let server = format!("https://{host}:{}", port.unwrap_or_else(|| "443".to_owned()));
    let account = Path::new(ACCOUNT);
    let trust = Trust { authorities: vec![account.join("ca.crt")], only_these: true, ..Trust::default() };
    Ok(Cluster { server, trust, token: Some(Secret::new(file(&account.join("token"))?)) })
}

/// Files one after the other, as kubectl joins them: what comes first wins.
fn of_files(paths: &str) -> Result<Cluster> {
    let mut all = Content::default();
    let mut directories = Vec::new();
    for path in paths.split(':').filter(|path| !path.is_empty()) {
        let reads = |e: Error| e.during(format_args!("read {path}"));
        let document = Document::parse(&file(Path::new(path))?, Format::Yaml);
        // Its words could hold a piece of a token.
        let document = document.map_err(|e| {
            reads(wrong(match e.place() {
                Some(place) => {
                    format!("it is no file of kubectl: line {}, column {}", place.line, place.column)
                }
                None => "it is no file of kubectl".to_owned(),
            }))
        })?;
        let content = document.decode::<Content>().map_err(|_| reads(wrong("it is no file of kubectl")))?;
        if all.current_context.is_empty() {
            all.current_context = content.current_context;
        }
        directories.push((
            Path::new(path).parent().unwrap_or(Path::new("")).to_owned(),
            content.clusters.len(),
            content.users.len(),
        ));
        all.contexts.extend(content.contexts);
        all.clusters.extend(content.clusters);
        all.users.extend(content.users);
    }
    let context: (usize, Context) = find(&all.contexts, "context", &all.current_context)?;
    let (cluster_at, server): (usize, Server) = find(&all.clusters, "cluster", &context.1.cluster)?;
    let (user_at, user): (usize, User) = find(&all.users, "user", &context.1.user)?;
    // Paths in a file count from its directory.
    let directory = |at: usize, count: &dyn Fn(&(PathBuf, usize, usize)) -> usize| {
        let mut before = 0;
        directories.iter().find(|entry| {
            before += count(entry);
            at < before
        })
    };
    let of_cluster = directory(cluster_at, &|entry| entry.1).map(|entry| entry.0.clone()).unwrap_or_default();
    let of_user = directory(user_at, &|entry| entry.2).map(|entry| entry.0.clone()).unwrap_or_default();
    made(server, &of_cluster, user, &of_user)
}

/// The entry of a list that has this name, and its place.
fn find<T: serde::de::DeserializeOwned>(list: &[Value], kind: &str, name: &str) -> Result<(usize, T)> {
    let at = list.iter().position(|entry| entry["name"] == name);
    let at = at.ok_or_else(|| {
        wrong(format!("KUBECONFIG has no {kind} {name:?}; choose one with kubectl config use-context"))
    })?;
    let value = list[at][kind].clone();
    let value = serde_json::from_value(value)
        .map_err(|_| wrong(format!("KUBECONFIG: the {kind} {name:?} is none")))?;
    Ok((at, value))
}

fn made(server: Server, of_cluster: &Path, user: User, of_user: &Path) -> Result<Cluster> {
    if server.insecure_skip_tls_verify {
        let message = "insecure-skip-tls-verify asks to trust anybody: refused; name the authority in certificate-authority";
        return Err(Error::new(Kind::Unsupported, message));
    }
    let authority = pem(server.certificate_authority_data, server.certificate_authority, of_cluster)?;
    let certificate = pem(user.client_certificate_data, user.client_certificate, of_user)?;
    let key = pem(user.client_key_data, user.client_key, of_user)?;
    let identity_pem =
        certificate.zip(key).map(|(certificate, key)| (certificate.into_bytes(), Secret::new(key)));
    let token = match (user.token, user.token_file) {
        (Some(token), _) => Some(Secret::new(token)),
        (None, Some(path)) => Some(Secret::new(file(&of_user.join(path))?)),
        (None, None) => None,
    };
    if token.is_none() && identity_pem.is_none() && (user.exec.is_some() || user.auth_provider.is_some()) {
        let message =
            "KUBECONFIG has a program say who asks, which isn't executed; use a token or a certificate";
        return Err(Error::new(Kind::Unsupported, message));
    }
    let only_these = authority.is_some();
    let authorities_pem = authority.into_iter().map(String::into_bytes).collect();
    Ok(Cluster {
        server: server.server,
        trust: Trust { authorities_pem, only_these, identity_pem, ..Trust::default() },
        token,
    })
}

/// What stands in the file itself in base64, or in one that it names.
fn pem(data: Option<String>, path: Option<PathBuf>, directory: &Path) -> Result<Option<String>> {
    match (data, path) {
        (Some(data), _) => {
            let bytes = STANDARD.decode(data).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            bytes.map(Some).ok_or_else(|| wrong("KUBECONFIG: a certificate or key is no base64"))
        }
        (None, Some(path)) => file(&directory.join(path)).map(Some),
        (None, None) => Ok(None),
    }
}
