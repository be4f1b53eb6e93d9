//! Auth files: `auth.json` of Podman and its like (containers-auth.json(5)), `config.json` of Docker.
//!
//! ```json
//! {"auths": {"quay.io/team": {"auth": "dXNlcjpwYXNz"}}, "credHelpers": {"ghcr.io": "pass"}, "credsStore": "pass"}
//! ```

use super::helper;
use crate::reference::DOCKER_HUB;
use crate::{Error, Kind, Repository, Result, Secret};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What such a file has at most.
const MAX_BYTES: u64 = 4 << 20;

/// What is known about who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// User name and password.
    Password(String, Secret),
    /// An identity token, which other tokens are made from.
    Identity(Secret),
}

/// Files in which credentials are looked for; the first that knows the registry decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthFiles {
    paths: Vec<PathBuf>,
    /// Whether a file that isn't there is an error.
    must: bool,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub(super) struct Content {
    auths: HashMap<String, Auth>,
    pub(super) cred_helpers: HashMap<String, String>,
    pub(super) creds_store: String,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Auth {
    auth: Secret,
    username: String,
    password: Secret,
    identitytoken: Secret,
}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input).map(Self::new)
    }
}

impl AuthFiles {
    /// This file alone; it has to be there.
    pub fn only(path: impl Into<PathBuf>) -> Self {
        Self { paths: vec![path.into()], must: true }
    }

    /// What `REGISTRY_AUTH_FILE` names; otherwise Podman's files of this session and of this user, then Docker's.
    pub fn of_user() -> Self {
        let variable =
            |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(file) = variable("REGISTRY_AUTH_FILE") {
            return Self::only(file);
        }
        let home = variable("HOME");
        let user = fs::metadata("/proc/self").map(|me| me.uid()).unwrap_or_default();
        let session = variable("XDG_RUNTIME_DIR").map(|directory| directory.join("containers/auth.json"));
        let configs = variable("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
        let docker = variable("DOCKER_CONFIG").or_else(|| home.as_ref().map(|home| home.join(".docker")));
        let paths = [
            session.or_else(|| Some(format!("/run/containers/{user}/auth.json").into())),
            configs.map(|directory| directory.join("containers/auth.json")),
            docker.map(|directory| directory.join("config.json")),
        ];
        Self { paths: paths.into_iter().flatten().collect(), must: false }
    }

    /// The file that new credentials are written to: the first.
    pub(super) fn first(&self) -> Option<&Path> {
        self.paths.first().map(PathBuf::as_path)
    }

    /// Who asks a repository's registry, if that is known.
    pub(crate) fn find(&self, repository: &Repository) -> Result<Option<Entry>> {
        for path in &self.paths {
            let Some(content) = self.read(path)? else { continue };
            let found = content.find(repository);
            if let Some(entry) =
                found.map_err(|e| e.during(format_args!("credentials of {}", path.display())))?
            {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    fn read(&self, path: &Path) -> Result<Option<Content>> {
        let wrong =
            |reason: String| Error::new(Kind::System, format_args!("read {}: {reason}", path.display()));
        let file = match File::open(path) {
            Ok(file) => file,
            Err(e) if !self.must && [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&e.kind()) => {
                return Ok(None);
            }
            Err(e) => return Err(wrong(e.to_string())),
        };
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(|e| wrong(e.to_string()))?;
        // serde's words may hold a piece of the file, which is secret.
        let place = |e: serde_json::Error| {
            wrong(format!("it is no auth file: line {}, column {}; log in once more", e.line(), e.column()))
        };
        serde_json::from_slice(&bytes).map(Some).map_err(place)
    }
}

impl Content {
    /// The most exact name that is known: `host/team/web` before `host/team` before `host`.
    fn find(&self, repository: &Repository) -> Result<Option<Entry>> {
        let names = names(repository);
        for name in &names {
            if let Some(helper) = self.cred_helpers.get(name) {
                return helper::ask(helper, name);
            }
        }
        for name in &names {
            let fits = self.auths.iter().find(|(key, _)| plain(key) == name || *key == name);
            if let Some(entry) = fits.and_then(|(_, auth)| auth.entry().transpose()) {
                return entry.map(Some);
            }
        }
        if !self.creds_store.is_empty() {
            let server = match repository.registry() {
                DOCKER_HUB => HUB_KEY,
                registry => registry,
            };
            return helper::ask(&self.creds_store, server);
        }
        Ok(None)
    }
}

/// What Docker calls its hub in these files.
pub(super) const HUB_KEY: &str = "https://index.docker.io/v1/";

/// What a repository's credentials may be called by, the most exact name first.
fn names(repository: &Repository) -> Vec<String> {
    let mut name = repository.to_string();
    let mut names = Vec::new();
    while let Some(end) = name.rfind('/') {
        names.push(name.clone());
        name.truncate(end);
    }
    names.push(name);
    if repository.registry() == DOCKER_HUB {
        names.extend(["index.docker.io", HUB_KEY].map(str::to_owned));
    }
    names
}

/// A key as older programs wrote it, without scheme and what follows the host.
fn plain(key: &str) -> &str {
    match key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")) {
        Some(rest) => rest.split('/').next().unwrap_or_default(),
        None => key,
    }
}

impl Auth {
    /// Nothing for an empty entry: that says only that a helper keeps it.
    fn entry(&self) -> Result<Option<Entry>> {
        if !self.identitytoken.expose().is_empty() {
            return Ok(Some(Entry::Identity(self.identitytoken.clone())));
        }
        if self.auth.expose().is_empty() {
            let known = !self.username.is_empty();
            return Ok(known.then(|| Entry::Password(self.username.clone(), self.password.clone())));
        }
        let wrong =
            || Error::new(Kind::System, "auth isn't USER:PASSWORD in base64").or_help("log in once more");
        let bytes = STANDARD.decode(self.auth.expose()).map_err(|_| wrong())?;
        let text = Secret::new(String::from_utf8(bytes).map_err(|_| wrong())?);
        let (user, password) = text.expose().split_once(':').ok_or_else(wrong)?;
        Ok(Some(Entry::Password(user.to_owned(), Secret::new(password.trim_end_matches('\0')))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reference;

    fn find(content: &str, reference: &str) -> Result<Option<Entry>> {
        let content: Content = serde_json::from_str(content).unwrap();
        content.find(Reference::parse(reference).unwrap().repository())
    }

    fn password(user: &str, password: &str) -> Option<Entry> {
        Some(Entry::Password(user.to_owned(), Secret::new(password)))
    }

    #[test]
    fn the_most_exact_name_wins() {
        // a:b, c:d, e:f:g
        let content = r#"{"auths": {"quay.io": {"auth": "YTpi"}, "quay.io/team": {"auth": "Yzpk"},
            "https://index.docker.io/v1/": {"auth": "ZTpmOmc="}, "https://old.example/v1/": {"username": "u", "password": "p"},
            "ghcr.io": {"auth": "YTpi", "identitytoken": "t"}, "empty.example": {}}}"#;
        for (reference, entry) in [
            ("quay.io/x/y", password("a", "b")),
            ("quay.io/team/y", password("c", "d")),
            ("quay.io/team2/y", password("a", "b")),
            ("nginx", password("e", "f:g")),
            ("old.example/x", password("u", "p")),
            ("ghcr.io/x", Some(Entry::Identity(Secret::new("t")))),
            ("empty.example/x", None),
            ("other.example/x", None),
        ] {
            assert_eq!(find(content, reference), Ok(entry), "{reference}");
        }
    }

    #[test]
    fn what_is_damaged_is_told_without_its_secrets() {
        for content in
            [r#"{"auths": {"a.b": {"auth": "geheim!"}}}"#, r#"{"auths": {"a.b": {"auth": "Z2VoZWlt"}}}"#]
        {
            let error = find(content, "a.b/c").unwrap_err().to_string();
            assert_eq!(error, "auth isn't USER:PASSWORD in base64; log in once more");
        }
        let error = find(r#"{"credHelpers": {"a.b": "../evil"}}"#, "a.b/c").unwrap_err().to_string();
        assert!(error.contains("it is no name of a program"), "{error}");
        assert_eq!(format!("{:?}", password("u", "geheim")), "Some(Password(\"u\", Secret(…)))");
    }
}
