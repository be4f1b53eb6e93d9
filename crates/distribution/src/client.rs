//! The client: requests to a registry's API, with who asks, and its refusals in words.

use crate::auth::{self, Access, AuthFiles, Credentials, Memory};
use crate::http::{Http, Patience, Request, Response, Source, Trust, Url, is_loopback};
use crate::manifest::TIME;
use crate::{Error, Kind, Repository, Result};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What a refusal's words have at most.
const MAX_REFUSAL: usize = 64 << 10;

/// How long a registry of this machine may take to show that it speaks TLS.
const PROBE: Duration = Duration::from_secs(5);

/// How a registry is spoken with.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long requests take, and how often they are sent.
    pub patience: Patience,
    /// Whom TLS trusts.
    pub trust: Trust,
    /// Who asks.
    pub credentials: Credentials,
    /// Registries (`HOST[:PORT]`) that are spoken with in plain HTTP. This machine's own are, if they don't know TLS.
    pub plain_http: Vec<String>,
    /// How large a piece of an upload is, in bytes; whole blobs where absent. Registries may ask for larger ones.
    pub piece: Option<u64>,
}

impl Default for Options {
    /// As Podman and Docker have it: their auth files, the system's authorities, `/etc/containers/certs.d` and
    /// `/etc/docker/certs.d`.
    fn default() -> Self {
        let directories = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(Into::into).to_vec();
        Self {
            patience: Patience::default(),
            trust: Trust { directories, ..Trust::default() },
            credentials: Credentials::Files(AuthFiles::of_user()),
            plain_http: Vec::new(),
            piece: None,
        }
    }
}

/// A client of registries. Threads may share one.
#[derive(Debug)]
pub struct Client {
    http: Http,
    credentials: Credentials,
    plain_http: Vec<String>,
    pub(crate) piece: Option<u64>,
    memory: Memory,
    /// Whether a registry of this machine speaks TLS, as far as that was found out.
    tls: Mutex<HashMap<String, bool>>,
}

impl Client {
    /// A client; nothing is connected yet.
    ///
    /// # Errors
    /// An option that can't be: a piece of no bytes.
    pub fn new(options: Options) -> Result<Self> {
        if options.piece == Some(0) {
            return Err(Error::new(Kind::System, "a piece of an upload has no bytes"));
        }
        let Options { patience, trust, credentials, plain_http, piece } = options;
        let http = Http::new(patience, trust);
        Ok(Self { http, credentials, plain_http, piece, memory: Memory::default(), tls: Mutex::default() })
    }

    pub(crate) fn patience(&self) -> &Patience {
        self.http.patience()
    }

    /// The address of something in a repository.
    pub(crate) fn url(&self, repository: &Repository, rest: &str) -> Result<Url> {
        let https = self.speaks_tls(repository)?;
        Url::at(https, repository.api(), &format!("/v2/{}/{rest}", repository.path()))
    }

    /// A registry of this machine that doesn't speak TLS is spoken with in plain HTTP, and one that nobody has to vouch for.
    fn speaks_tls(&self, repository: &Repository) -> Result<bool> {
        let host = repository.api();
        if self.plain_http.iter().any(|plain| plain == repository.registry()) {
            return Ok(false);
        }
        if !is_loopback(host) && !self.http.trusts_anybody() {
            return Ok(true);
        }
        if let Some(known) = self.tls.lock().unwrap_or_else(PoisonError::into_inner).get(host) {
            return Ok(*known);
        }
        let probe = Request::get(Url::at(true, host, "/v2/")?).within(PROBE).once();
        let speaks = match self.http.send(&probe, None) {
            Ok(_) => true,
            // No TLS comes, or nothing at all: what it is shows without.
            Err(e) if e.kind() == Kind::Content || e.is_transient() => false,
            // Not trusted, or not there.
            Err(e) => return Err(e),
        };
        self.tls.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned(), speaks);
        Ok(speaks)
    }

    /// Asks a registry whether it believes who asks; also one that doesn't ask back does.
    ///
    /// # Errors
    /// [`Kind::Credentials`] if it doesn't; what any request may end with.
    pub fn log_in(&self, registry: &Repository) -> Result<()> {
        let ask = || {
            let access = Access { repository: registry.clone(), scopes: Vec::new() };
            let url = Url::at(self.speaks_tls(registry)?, registry.api(), "/v2/")?;
            let answer = self.send(&access, &Request::get(url).within(TIME), None)?;
            if answer.is_success() { Ok(()) } else { Err(refusal(answer)) }
        };
        ask().map_err(|e: Error| e.during(format_args!("log in to {}", registry.registry())))
    }

    /// Sends a request, and once more with who asks if the registry wants to know. Who asks is told to nobody else, also
    /// where the request goes to another host.
    pub(crate) fn send(
        &self,
        access: &Access,
        request: &Request,
        mut body: Option<(&mut dyn Source, u64)>,
    ) -> Result<Response> {
        let api = self.url(&access.repository, "")?;
        let own = request.url().origin() == api.origin();
        let with = |header| request.clone().secret("authorization", header);
        let first = match self.memory.header(access) {
            Some(header) if own => with(header),
            _ => request.clone(),
        };
        let part = body.as_mut().map(|(source, length)| (&mut **source as &mut dyn Source, *length));
        let answer = self.http.send(&first, part)?;
        if answer.status() != 401 || !own || answer.url().origin() != api.origin() {
            return Ok(answer);
        }
        let challenges = answer.headers("www-authenticate");
        let header = self.memory.answer(&self.http, &self.credentials, access, &api, challenges)?;
        let answer = self.http.send(&with(header), body)?;
        if answer.status() == 401 {
            let registry = access.repository.registry();
            return Err(refusal(answer).or_help(auth::login(registry)));
        }
        Ok(answer)
    }
}

#[derive(serde::Deserialize)]
struct Refusals {
    errors: Vec<Refusal>,
}

#[derive(serde::Deserialize)]
struct Refusal {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// What an answer that isn't one of success says (distribution specification, "error codes").
pub(crate) fn refusal(answer: Response) -> Error {
    let plain = answer.failure();
    let Ok(bytes) = answer.bytes(MAX_REFUSAL) else { return plain };
    let Ok(Refusals { errors }) = serde_json::from_slice(&bytes) else { return plain };
    let Some(first) = errors.first() else { return plain };
    let words = crate::error::line(format!("{} {}", first.code, first.message).trim());
    plain.with_cause(&words)
}
