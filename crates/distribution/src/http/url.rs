//! Addresses: `http` and `https` alone, without user names and fragments.

use crate::{Error, Kind, Result};
use std::fmt;
use std::net::IpAddr;
use ureq::http::Uri;

/// An absolute address.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    https: bool,
    host: String,
    port: Option<u16>,
    /// Path and query, beginning with `/`.
    target: String,
}

impl Url {
    /// Reads an absolute address.
    ///
    /// # Errors
    /// Another scheme, no host, a user name, characters that an address can't have.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |reason: &str| {
            // What follows ? may be a secret.
            let text = text.split('?').next().unwrap_or_default();
            Error::new(Kind::Content, format_args!("{:?} is no address: {reason}", crate::error::line(text)))
        };
        let text = text.split('#').next().unwrap_or_default();
        let uri: Uri = text.parse().map_err(|_| wrong("it has characters that an address can't have"))?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("it doesn't begin with https:// or http://")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
        if authority.as_str().contains('@') {
            // The whole would be shown, password and all.
            return Err(Error::new(Kind::Content, "an address can't hold a user name and password"));
        }
        let port = authority.as_str().len() > authority.host().len();
        if authority.host().is_empty() || (port && authority.port_u16().is_none()) {
            return Err(wrong("its host or port is none"));
        }
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Self { https, host: authority.host().to_ascii_lowercase(), port: authority.port_u16(), target })
    }

    /// Host, and port if there is one, with a path.
    pub(crate) fn at(https: bool, authority: &str, target: &str) -> Result<Self> {
        Self::parse(&format!("{}://{authority}{target}", if https { "https" } else { "http" }))
    }

    /// What an answer from this address calls by `location`: absolute, or relative to here.
    ///
    /// # Errors
    /// As [`Url::parse`].
    pub fn join(&self, location: &str) -> Result<Self> {
        let authority = self.authority();
        let first = location.split(['/', '?', '#']).next().unwrap_or_default();
        match location {
            _ if first.contains(':') => Self::parse(location),
            _ if location.starts_with("//") => Self::parse(&format!("{}:{location}", self.scheme())),
            _ if location.starts_with('/') => Self::at(self.https, &authority, location),
            _ => {
                let path = self.path();
                let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
                Self::at(self.https, &authority, &format!("{directory}/{location}"))
            }
        }
    }

    /// The same with one more parameter; the value is escaped.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.target.push(if self.target.contains('?') { '&' } else { '?' });
        self.target.push_str(&format!("{name}={}", escaped(value)));
        self
    }

    /// Whether TLS is spoken.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The host alone; an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Host, and port if it isn't the scheme's own.
    pub(crate) fn authority(&self) -> String {
        match self.port {
            Some(port) if port != self.default_port() => format!("{}:{port}", self.host),
            _ => self.host.clone(),
        }
    }

    fn default_port(&self) -> u16 {
        if self.https { 443 } else { 80 }
    }

    fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    /// Scheme, host and port: who gets what is sent.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}:{}", self.scheme(), self.host, self.port.unwrap_or(self.default_port()))
    }

    /// With what is secret in it: to send, not to show.
    pub(crate) fn whole(&self) -> String {
        format!("{}://{}{}", self.scheme(), self.authority(), self.target)
    }
}

impl fmt::Display for Url {
    /// Without the query, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.authority(), self.path())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A value of a query or a form: all but letters, digits, `-._~` escaped.
pub fn escaped(value: &str) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(byte.into()),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// Whether a host, with a port or without, is this machine by its very name.
pub fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    };
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost"
        || host.ends_with(".localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_found_from_where_they_were_told() {
        let base = Url::parse("https://a.b:443/v2/x/uploads/1?state=s").unwrap();
        for (location, whole) in [
            ("https://c/d?e=f", "https://c/d?e=f"),
            ("//c/d", "https://c/d"),
            ("/v2/y?z=1", "https://a.b/v2/y?z=1"),
            ("2?q=https://c", "https://a.b/v2/x/uploads/2?q=https://c"),
            ("/p?u=http://c/", "https://a.b/p?u=http://c/"),
        ] {
            assert_eq!(base.join(location).unwrap().whole(), whole, "{location}");
        }
        assert_eq!(base.to_string(), "https://a.b/v2/x/uploads/1");
        assert_eq!(
            base.with("digest", "sha256:a").whole(),
            "https://a.b/v2/x/uploads/1?state=s&digest=sha256%3Aa"
        );
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_secrets() {
        for text in [
            "ftp://a/b",
            "https:///b",
            "https://u:geheim@a/b",
            "a/b?geheim",
            "https://a b/",
            "http://a:99999/",
        ] {
            let error = Url::parse(text).unwrap_err().to_string();
            assert!(!error.contains("geheim"), "{error}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for host in
            ["localhost", "localhost:5000", "127.0.0.1", "127.8.0.1:80", "[::1]:5000", "[::1]", "a.localhost"]
        {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example", "10.0.0.1", "[::2]:1", "notlocalhost", "128.0.0.1:127"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
