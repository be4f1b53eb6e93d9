//! Requests over HTTP/1.1, TLS or not: bounded in time, sent again where that may help, redirected without secrets.
//!
//! Redirects are followed here and not in the library below, for reading requests only: what is secret goes to the scheme,
//! host and port that it was given for and to no other, and nothing that began with TLS goes on without.

mod date;
pub(crate) mod failure;
mod tls;
mod url;

pub use tls::Trust;
pub use url::{Url, escaped, is_loopback};

use crate::{Error, Kind, Result, Secret};
use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};
use ureq::http::{HeaderMap, HeaderValue, Method};
use ureq::{Agent, Body, SendBody};

/// How often an answer may send a request elsewhere.
const REDIRECTS: usize = 5;

/// How long requests take, and how often they are sent.
#[derive(Clone, Debug)]
pub struct Patience {
    /// To find and reach a host, TLS included.
    pub connect: Duration,
    /// Until an answer begins, and between two pieces of what is sent or comes.
    pub idle: Duration,
    /// How often something is tried in all.
    pub attempts: u32,
    /// The wait before the second attempt; each further one is twice as long.
    pub back_off: Duration,
    /// The longest wait, also if a server asks for more: then it is given up.
    pub longest_wait: Duration,
}

impl Default for Patience {
    /// 15 s to connect, 60 s without a byte, five attempts half a second apart, then one, two and four.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            idle: Duration::from_secs(60),
            attempts: 5,
            back_off: Duration::from_millis(500),
            longest_wait: Duration::from_secs(60),
        }
    }
}

impl Patience {
    /// Waits before another attempt, after `attempt` ones, as long as it should or as a server asked; `false` if that is
    /// too long, or if there were enough.
    pub(crate) fn wait(&self, attempt: u32, asked: Option<Duration>) -> bool {
        let doubled = self.back_off.saturating_mul(1 << attempt.saturating_sub(1).min(16));
        let wait = asked.unwrap_or(doubled.min(self.longest_wait));
        let worth = attempt < self.attempts && wait <= self.longest_wait;
        if worth {
            std::thread::sleep(wait);
        }
        worth
    }
}

/// What a body is read from, from its beginning for each attempt.
pub trait Source: Read + Seek {}

impl<S: Read + Seek> Source for S {}

/// A request without its body.
#[derive(Clone, Debug)]
pub struct Request {
    method: Method,
    url: Url,
    headers: Vec<(&'static str, String)>,
    secrets: Vec<(&'static str, Secret)>,
    again: bool,
    limit: Option<Duration>,
}

impl Request {
    /// A request by its method, `GET` and so on.
    pub fn new(method: Method, url: Url) -> Self {
        let again = method.is_idempotent();
        Self { method, url, headers: Vec::new(), secrets: Vec::new(), again, limit: None }
    }

    /// A request that reads.
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With a header for nobody but the host of the address.
    #[must_use]
    pub fn secret(mut self, name: &'static str, value: Secret) -> Self {
        self.secrets.push((name, value));
        self
    }

    /// Sent once only, whatever happens; otherwise that holds for methods that change more each time.
    #[must_use]
    pub(crate) fn once(self) -> Self {
        Self { again: false, ..self }
    }

    /// Sent again, though the method may change something each time.
    #[must_use]
    pub(crate) fn again(self) -> Self {
        Self { again: true, ..self }
    }

    /// The time that one attempt may take in all, until the last byte of the answer.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        Self { limit: Some(limit), ..self }
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }
}

/// An answer, whatever its status; its body is still to be read.
#[derive(Debug)]
pub struct Response {
    status: u16,
    headers: HeaderMap,
    url: Url,
    body: Body,
}

impl Response {
    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the status is one of success.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A header's value, if it is there and readable.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// All values of a header.
    pub(crate) fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
    }

    /// Who answered, after redirects.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// How long the server asks to wait (RFC 9110, 10.2.3).
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let value = self.header("retry-after")?.trim();
        match value.parse() {
            Ok(seconds) => Some(Duration::from_secs(seconds)),
            Err(_) => Some(date::parse(value)?.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO)),
        }
    }

    /// The body as it comes.
    pub(crate) fn reader(&mut self) -> impl Read {
        self.body.with_config().limit(u64::MAX).reader()
    }

    /// The whole body, if it has at most so many bytes.
    ///
    /// # Errors
    /// It has more; the connection breaks or hangs.
    pub fn bytes(mut self, most: usize) -> Result<Vec<u8>> {
        let too_large = || Error::new(Kind::Content, format_args!("the answer has more than {most} bytes"));
        if self.body.content_length().is_some_and(|length| length > most as u64) {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        let limited = &mut self.reader().take(most as u64 + 1);
        limited.read_to_end(&mut bytes).map_err(failure::of_io)?;
        if bytes.len() > most { Err(too_large()) } else { Ok(bytes) }
    }

    /// What the status means, for an answer that isn't what was hoped for.
    pub fn failure(&self) -> Error {
        let reason = ureq::http::StatusCode::from_u16(self.status).ok();
        let reason =
            reason.and_then(|status| status.canonical_reason()).map_or(String::new(), |r| format!(" {r}"));
        let message = format!("the server answers {}{reason}", self.status);
        match self.status {
            401 => Error::new(Kind::Credentials, message),
            403 => Error::new(Kind::Denied, message),
            404 | 410 => Error::new(Kind::NotFound, message),
            429 => Error::new(Kind::Unavailable, message).or_help(match self.retry_after() {
                Some(wait) => format!("try again in {} s", wait.as_secs()),
                None => "try again later".to_owned(),
            }),
            500.. => Error::new(Kind::Unavailable, message).or_help("try again later"),
            _ => Error::new(Kind::Refused, message),
        }
    }
}

/// Who sends requests: one connection pool for each host.
#[derive(Debug)]
pub struct Http {
    patience: Patience,
    trust: Trust,
    agents: Mutex<HashMap<String, Agent>>,
}

impl Http {
    /// With this patience and trust.
    pub fn new(patience: Patience, trust: Trust) -> Self {
        Self { patience, trust, agents: Mutex::default() }
    }

    /// How long requests take.
    pub(crate) fn patience(&self) -> &Patience {
        &self.patience
    }

    /// Whether any certificate will do.
    pub(crate) fn trusts_anybody(&self) -> bool {
        self.trust.anybody
    }

    /// Sends a request, again where that may help, and follows redirects. What has a body is sent from its beginning.
    ///
    /// # Errors
    /// No answer came. An answer of whatever status is none; of 429 and 5xx it is the last one.
    pub fn send(&self, request: &Request, mut body: Option<(&mut dyn Source, u64)>) -> Result<Response> {
        for attempt in 1.. {
            let answer = match &mut body {
                Some((source, length)) => self.follow(request, Some((&mut **source, *length))),
                None => self.follow(request, None),
            };
            let asked = match &answer {
                Ok(answer) if [429, 500, 502, 503, 504].contains(&answer.status) => answer.retry_after(),
                Err(e) if e.is_transient() => None,
                _ => return answer,
            };
            if !request.again || !self.patience.wait(attempt, asked) {
                return answer;
            }
        }
        Err(Error::new(Kind::Unavailable, "no attempt was made"))
    }

    fn follow(&self, request: &Request, mut body: Option<(&mut dyn Source, u64)>) -> Result<Response> {
        let reads = [Method::GET, Method::HEAD].contains(&request.method);
        let mut url = request.url.clone();
        for _ in 0..=REDIRECTS {
            let part = body.as_mut().map(|(source, length)| (&mut **source as &mut dyn Source, *length));
            let answer = self.exchange(request, &url, part)?;
            if !reads || ![301, 302, 303, 307, 308].contains(&answer.status) {
                return Ok(answer);
            }
            let location = answer.header("location").unwrap_or_default();
            let next = url.join(location).map_err(|e| e.during(format_args!("redirect from {url}")))?;
            if url.is_https() && !next.is_https() {
                let message = format!("redirect from {url} to {next}, which has no TLS: refused");
                return Err(Error::new(Kind::Insecure, message));
            }
            url = next;
        }
        Err(Error::new(Kind::Content, format_args!("{} redirects more than {REDIRECTS} times", request.url)))
    }

    /// One request, one answer.
    fn exchange(
        &self,
        request: &Request,
        url: &Url,
        body: Option<(&mut dyn Source, u64)>,
    ) -> Result<Response> {
        let wrong = |e: ureq::http::Error| Error::new(Kind::Content, format_args!("{url}: {e}"));
        let same = url.origin() == request.url.origin();
        let mut builder = ureq::http::Request::builder().method(&request.method).uri(url.whole());
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        for (name, value) in request.secrets.iter().filter(|_| same) {
            let value = HeaderValue::from_str(value.expose());
            let mut value = value.map_err(|_| {
                Error::new(
                    Kind::System,
                    format_args!("what {name} is to hold has characters that it can't have"),
                )
            })?;
            value.set_sensitive(true);
            builder = builder.header(*name, value);
        }
        let agent = self.agent(url)?;
        let limit = request.limit;
        let sent = match body {
            Some((source, length)) => {
                let system =
                    |e: std::io::Error| Error::new(Kind::System, format_args!("read what is sent: {e}"));
                source.seek(SeekFrom::Start(0)).map_err(system)?;
                let mut source = source.take(length);
                let builder = builder.header("content-length", length.to_string());
                let request = builder.body(SendBody::from_reader(&mut source)).map_err(wrong)?;
                agent.run(agent.configure_request(request).timeout_global(limit).build())
            }
            None => {
                let reads = [Method::GET, Method::HEAD, Method::DELETE].contains(&request.method);
                let builder = if reads { builder } else { builder.header("content-length", "0") };
                let request = builder.body(SendBody::none()).map_err(wrong)?;
                agent.run(agent.configure_request(request).timeout_global(limit).build())
            }
        };
        let answer = sent.map_err(|e| failure::of(e, url))?;
        let (parts, body) = answer.into_parts();
        Ok(Response { status: parts.status.as_u16(), headers: parts.headers, url: url.clone(), body })
    }

    fn agent(&self, url: &Url) -> Result<Agent> {
        let mut agents = self.agents.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(agent) = agents.get(&url.origin()) {
            return Ok(agent.clone());
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("forgeone/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(self.patience.connect))
            .timeout_connect(Some(self.patience.connect))
            .timeout_recv_response(Some(self.patience.idle))
            .timeout_per_read(Some(self.patience.idle))
            .timeout_per_write(Some(self.patience.idle));
        if url.is_https() {
            config = config.tls_config(self.trust.config(&url.authority())?);
        }
        if is_loopback(url.host()) {
            config = config.proxy(None);
        }
        let agent = Agent::new_with_config(config.build());
        agents.insert(url.origin(), agent.clone());
        Ok(agent)
    }
}
