//! Credentials into an auth file, and out of it: the rest of it stays as it is (containers-auth.json(5)).

use super::files::{AuthFiles, Content, HUB_KEY};
use super::helper;
use crate::reference::DOCKER_HUB;
use crate::{Error, Kind, Repository, Result, Secret};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// An auth file that is changed, by nobody else meanwhile.
struct Changed {
    path: PathBuf,
    content: Map<String, Value>,
    /// The directory, which is locked.
    _lock: File,
}

impl AuthFiles {
    /// Keeps a user name and password for a registry, in the first of these files, or by the helper that it names.
    /// That file, or the helper's name.
    ///
    /// # Errors
    /// The file can't be read or written; the helper fails.
    pub fn keep(&self, registry: &Repository, user: &str, password: &Secret) -> Result<String> {
        let mut file = self.change()?;
        let (key, server) = keys(registry);
        if let Some(helper) = file.helper(&key)? {
            helper::store(&helper, &server, user, password)?;
            return Ok(format!("docker-credential-{helper}"));
        }
        let pair = Secret::new(format!("{user}:{}", password.expose()));
        let auth = STANDARD.encode(pair.expose());
        file.auths()?.insert(key, json!({ "auth": auth }));
        file.write()?;
        Ok(file.path.display().to_string())
    }

    /// Forgets a registry; whether it was known in the first of these files, or by the helper that it names.
    ///
    /// # Errors
    /// As [`AuthFiles::keep`].
    pub fn forget(&self, registry: &Repository) -> Result<bool> {
        let mut file = self.change()?;
        let (key, server) = keys(registry);
        if let Some(helper) = file.helper(&key)? {
            return helper::erase(&helper, &server);
        }
        // All that it may be called by.
        let old = [key, server].map(|name| file.auths().map(|auths| auths.remove(&name).is_some()));
        let known = old.into_iter().collect::<Result<Vec<_>>>()?.contains(&true);
        if known {
            file.write()?;
        }
        Ok(known)
    }

    fn change(&self) -> Result<Changed> {
        let path = self.first().ok_or_else(|| Error::new(Kind::System, "no auth file is known"))?;
        // A link stays one.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let failed = |e: io::Error| wrong(&path, &e.to_string());
        let directory =
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        let lock = File::open(directory).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let content = match fs::read(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => Map::new(),
            bytes => match bytes.map_err(failed)? {
                bytes if bytes.iter().all(u8::is_ascii_whitespace) => Map::new(),
                bytes => serde_json::from_slice(&bytes).map_err(|e| {
                    wrong(&path, &format!("it is no auth file: line {}, column {}", e.line(), e.column()))
                })?,
            },
        };
        Ok(Changed { path, content, _lock: lock })
    }
}

impl Changed {
    /// The helper that keeps a registry's credentials, if any.
    fn helper(&self, key: &str) -> Result<Option<String>> {
        let content: Content = serde_json::from_value(Value::Object(self.content.clone()))
            .map_err(|_| wrong(&self.path, "it is no auth file"))?;
        let of_all = || Some(content.creds_store.clone()).filter(|name| !name.is_empty());
        Ok(content.cred_helpers.get(key).cloned().or_else(of_all))
    }

    fn auths(&mut self) -> Result<&mut Map<String, Value>> {
        let auths = self.content.entry("auths").or_insert_with(|| json!({}));
        auths.as_object_mut().ok_or_else(|| wrong(&self.path, "it is no auth file: auths is no object"))
    }

    /// Replaces the file whole; only its user may read it.
    fn write(&self) -> Result<()> {
        let text = Secret::new(serde_json::to_string_pretty(&self.content).unwrap_or_default() + "\n");
        let mut beside = self.path.clone().into_os_string();
        beside.push(format!(".{}", std::process::id()));
        let write = || {
            let mut file = File::options().create_new(true).write(true).mode(0o600).open(&beside)?;
            file.write_all(text.expose().as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &self.path)
        };
        write().map_err(|e| {
            let _ = fs::remove_file(&beside);
            wrong(&self.path, &e.to_string())
        })
    }
}

fn wrong(path: &Path, reason: &str) -> Error {
    Error::new(Kind::System, format_args!("change {}: {reason}", path.display()))
}

/// What a registry is called in auth files, and what by helpers.
fn keys(registry: &Repository) -> (String, String) {
    let key = registry.to_string();
    let server = if key == DOCKER_HUB { HUB_KEY.to_owned() } else { key.clone() };
    (key, server)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_auth_file_keeps_what_others_wrote() {
        let place = testkit::Temp::new("auth");
        let path = place.path().join("deep/auth.json");
        let files = AuthFiles::only(&path);
        let registry = Repository::of_registry("quay.io/team").unwrap();
        assert_eq!(files.keep(&registry, "user", &Secret::new("pass")), Ok(path.display().to_string()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = || serde_json::from_slice::<Value>(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(read(), json!({ "auths": { "quay.io/team": { "auth": "dXNlcjpwYXNz" } } }));
        let other =
            json!({ "auths": { "a.b": { "auth": "eA==" } }, "proxies": { "x": 1 }, "HttpHeaders": {} });
        fs::write(&path, other.to_string()).unwrap();
        files.keep(&registry, "user", &Secret::new("pass")).unwrap();
        assert_eq!(
            (&read()["proxies"], &read()["auths"]["a.b"]["auth"]),
            (&json!({ "x": 1 }), &json!("eA=="))
        );
        assert_eq!((files.forget(&registry), files.forget(&registry)), (Ok(true), Ok(false)));
        assert_eq!(read(), other);
        fs::write(&path, "{\"auths\": [\"geheim\"]}").unwrap();
        let error = files.keep(&registry, "user", &Secret::new("pass")).unwrap_err().to_string();
        assert!(error.contains("it is no auth file") && !error.contains("geheim"), "{error}");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
