//! Who asks: found out when a registry wants to know, remembered for as long as it holds.
//!
//! ```text
//! request ──► 401 WWW-Authenticate: Basic ───────────────────────────────────► request + user and password
//!                                   Bearer realm, service ──► realm: token ──► request + token
//! ```

mod challenge;
mod files;
mod helper;
mod keep;

pub use files::AuthFiles;

use crate::http::{Http, Request, Url, escaped, is_loopback};
use crate::{Error, Kind, Repository, Result, Secret};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use challenge::Challenge;
use files::Entry;
use std::collections::HashMap;
use std::io::Cursor;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::http::Method;

/// What a token server's answer has at most.
const MAX_BYTES: usize = 1 << 20;

/// How long a token server may take.
const TIME: Duration = Duration::from_secs(60);

/// Where credentials come from.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// Auth files and credential helpers.
    Files(AuthFiles),
    /// This user name and password, for every registry.
    Password(String, Secret),
    /// None.
    Anonymous,
}

/// What is remembered for a registry and what is to be done there.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<HashMap<(String, String), Pass>>);

#[derive(Clone, Debug)]
struct Pass {
    header: Secret,
    until: Option<Instant>,
}

/// What is to be done where: the scope of a token.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// The repository that it is about.
    pub(crate) repository: Repository,
    /// In the words of the token specification: `repository:team/web:pull`.
    pub(crate) scopes: Vec<String>,
}

impl Access {
    /// Doing these to a repository: `pull`, `push`, `delete`, with commas between.
    pub(crate) fn to(repository: &Repository, actions: &str) -> Self {
        let scopes = vec![format!("repository:{}:{actions}", repository.path())];
        Self { repository: repository.clone(), scopes }
    }

    /// And pulling from another repository of the same registry.
    pub(crate) fn and_pull(mut self, from: &Repository) -> Self {
        self.scopes.push(format!("repository:{}:pull", from.path()));
        self
    }

    fn key(&self) -> (String, String) {
        (self.repository.registry().to_owned(), self.scopes.join(" "))
    }
}

#[derive(serde::Deserialize)]
struct Token {
    #[serde(default)]
    token: Secret,
    #[serde(default)]
    access_token: Secret,
    /// In seconds; at least 60 by the specification.
    expires_in: Option<u64>,
}

impl Memory {
    /// The header that was good the last time, if it still holds.
    pub(crate) fn header(&self, access: &Access) -> Option<Secret> {
        let passes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pass = passes.get(&access.key())?;
        pass.until.is_none_or(|until| Instant::now() < until).then(|| pass.header.clone())
    }

    fn remember(&self, access: &Access, header: &Secret, until: Option<Instant>) {
        let pass = Pass { header: header.clone(), until };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(access.key(), pass);
    }

    /// The header that answers a challenge.
    pub(crate) fn answer<'a>(
        &self,
        http: &Http,
        credentials: &Credentials,
        access: &Access,
        from: &Url,
        headers: impl Iterator<Item = &'a str>,
    ) -> Result<Secret> {
        let challenge = challenge::best(headers).ok_or_else(|| {
            let message =
                "the registry wants to know who asks, but in no way that is known here (Basic, Bearer)";
            Error::new(Kind::Refused, message)
        })?;
        let who = match credentials {
            Credentials::Files(files) => files.find(&access.repository)?,
            Credentials::Password(user, password) => Some(Entry::Password(user.clone(), password.clone())),
            Credentials::Anonymous => None,
        };
        let registry = access.repository.registry();
        match challenge {
            Challenge::Basic => {
                let Some(Entry::Password(user, password)) = who else {
                    let message = format!("{registry} wants a user name and password");
                    return Err(Error::new(Kind::Credentials, message).or_help(login(registry)));
                };
                let header = basic(&user, &password);
                self.remember(access, &header, None);
                Ok(header)
            }
            Challenge::Bearer { realm, service, scope } => {
                let realm = Url::parse(&realm).map_err(|e| e.during("the registry's token server"))?;
                if !realm.is_https()
                    && (from.is_https() || !is_loopback(realm.host()) && realm.host() != from.host())
                {
                    let message = format!("the registry's token server {realm} has no TLS: refused");
                    return Err(Error::new(Kind::Insecure, message));
                }
                let mut scopes = access.scopes.clone();
                let further =
                    scope.iter().flat_map(|scope| scope.split(' ')).filter(|scope| !scope.is_empty());
                let known = |scope: &str| access.scopes.iter().any(|wanted| covers(wanted, scope));
                scopes.extend(further.filter(|scope| !known(scope)).map(str::to_owned));
                let asked = token(http, &realm, service.as_deref(), &scopes, who.as_ref());
                let (header, holds) = asked.map_err(|e| {
                    let credentials = e.kind() == Kind::Credentials;
                    let e = e.during(format_args!("token from {realm}"));
                    if credentials { e.or_help(login(registry)) } else { e }
                })?;
                // A little less, so that it doesn't end on the way.
                let until = Instant::now() + holds.saturating_sub(Duration::from_secs(5));
                self.remember(access, &header, Some(until));
                Ok(header)
            }
        }
    }
}

/// The way out for who isn't known.
pub(crate) fn login(registry: &str) -> String {
    format!("log in with forgeone login {registry}, or check the auth file")
}

/// Whether a scope that we ask for has all that another one asks for.
fn covers(wanted: &str, asked: &str) -> bool {
    match (wanted.rsplit_once(':'), asked.rsplit_once(':')) {
        (Some((name, have)), Some((other, need))) => {
            name == other && need.split(',').all(|action| have.split(',').any(|known| known == action))
        }
        _ => wanted == asked,
    }
}

/// The header of a user name and password.
fn basic(user: &str, password: &Secret) -> Secret {
    let both = Secret::new(format!("{user}:{}", password.expose()));
    Secret::new(format!("Basic {}", STANDARD.encode(both.expose())))
}

/// A header with a token of the registry's token server, and how long it holds.
fn token(
    http: &Http,
    realm: &Url,
    service: Option<&str>,
    scopes: &[String],
    who: Option<&Entry>,
) -> Result<(Secret, Duration)> {
    let answer = match who {
        Some(Entry::Identity(identity)) => {
            let mut form =
                format!("grant_type=refresh_token&client_id=forgeone&scope={}", escaped(&scopes.join(" ")));
            form.push_str(&service.map_or(String::new(), |service| format!("&service={}", escaped(service))));
            let form = Secret::new(format!("{form}&refresh_token={}", escaped(identity.expose())));
            let request = Request::new(Method::POST, realm.clone())
                .header("content-type", "application/x-www-form-urlencoded")
                .within(TIME);
            let length = form.expose().len() as u64;
            http.send(&request, Some((&mut Cursor::new(form.expose()), length)))?
        }
        _ => {
            let mut url = realm.clone();
            if let Some(service) = service {
                url = url.with("service", service);
            }
            for scope in scopes {
                url = url.with("scope", scope);
            }
            let mut request = Request::get(url).within(TIME);
            if let Some(Entry::Password(user, password)) = who {
                request = request.secret("authorization", basic(user, password));
            }
            http.send(&request, None)?
        }
    };
    if !answer.is_success() {
        return Err(crate::client::refusal(answer));
    }
    let bytes = answer.bytes(MAX_BYTES)?;
    // serde's words may hold a piece of the token.
    let wrong = || Error::new(Kind::Content, "the answer holds no token");
    let token: Token = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
    let text = [&token.token, &token.access_token].into_iter().find(|token| !token.expose().is_empty());
    let header = Secret::new(format!("Bearer {}", text.ok_or_else(wrong)?.expose()));
    Ok((header, Duration::from_secs(token.expires_in.unwrap_or(60).clamp(60, 86_400))))
}
