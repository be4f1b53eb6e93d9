//! References of images and artifacts, by the grammar of the OCI distribution specification (1.1, "pulling manifests"),
//! with the names that Docker Hub's images are called by.
//!
//! ```text
//! registry.example:5000 / team/web : 1.27 @ sha256:…
//! └──── registry ─────┘   └ path ┘   tag    digest
//! ```

use crate::Digest;
use std::fmt;
use std::str::FromStr;

/// Where names without a registry are looked for.
pub const DOCKER_HUB: &str = "docker.io";

/// Why a text is no reference, and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong.
    pub reason: String,
    /// What to do.
    pub help: String,
}

impl Wrong {
    pub(crate) fn new(reason: impl Into<String>, help: impl Into<String>) -> Self {
        Self { reason: reason.into(), help: help.into() }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}; {}", self.reason, self.help)
    }
}

impl std::error::Error for Wrong {}

/// A repository of a registry. Docker Hub's names are whole: `nginx` is `docker.io/library/nginx`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    registry: String,
    path: String,
}

impl Repository {
    /// Host and, if it isn't the default one, port: `docker.io`, `localhost:5000`, `[::1]:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The name within the registry.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Host and port that the registry's API is at: Docker Hub's has another name.
    pub fn api(&self) -> &str {
        if self.registry == DOCKER_HUB { "registry-1.docker.io" } else { &self.registry }
    }

    /// A registry itself: the repository without a path, `quay.io` or, for credentials of a part of it, `quay.io/team`.
    ///
    /// # Errors
    /// It is no name of a registry.
    pub fn of_registry(text: &str) -> Result<Self, Wrong> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let (registry, path) = text.split_once('/').unwrap_or((text, ""));
        let registry = match registry {
            "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB,
            registry => registry,
        };
        check_registry(registry)?;
        match path.is_empty() {
            true => {}
            false => check_name(text, Some(registry), path)?,
        }
        Ok(Self { registry: registry.to_owned(), path: path.to_owned() })
    }

    /// The reference of what a tag names here.
    ///
    /// # Errors
    /// It is no tag.
    pub fn tagged(&self, tag: &str) -> Result<Reference, Wrong> {
        check_tag(tag)?;
        Ok(Reference { repository: self.clone(), tag: Some(tag.to_owned()), digest: None })
    }

    /// The reference of what has this digest here.
    pub fn with_digest(&self, digest: &Digest) -> Reference {
        Reference { repository: self.clone(), tag: None, digest: Some(digest.clone()) }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.path.is_empty() {
            true => f.write_str(&self.registry),
            false => write!(f, "{}/{}", self.registry, self.path),
        }
    }
}

/// A repository, and a tag, a digest, or both, in which case the digest decides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    repository: Repository,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Reads a reference.
    ///
    /// ```
    /// use forgeone_distribution::Reference;
    /// let reference: Reference = "nginx".parse()?;
    /// assert_eq!(reference.to_string(), "docker.io/library/nginx:latest");
    /// # Ok::<(), forgeone_distribution::Wrong>(())
    /// ```
    ///
    /// # Errors
    /// What is wrong with it, and the way out.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        if text.contains("://") {
            return Err(Wrong::new("it is a URL", "leave out what stands before the host, and ://"));
        }
        let (rest, digest) = text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest)));
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains(['/', ']']) => (name, Some(tag)),
            _ => (rest, None),
        };
        let digest = digest.map(str::parse).transpose()?;
        if let Some(tag) = tag {
            check_tag(tag)?;
        }
        let (domain, path) = split(name);
        check_name(name, domain, path).map_err(|wrong| match wrong.help.is_empty() {
            false => wrong,
            true => {
                let lower = format!("{}{}", name.to_lowercase(), &text[name.len()..]);
                Wrong { help: format!("write {lower:?}"), ..wrong }
            }
        })?;
        let repository = match domain {
            Some("docker.io" | "index.docker.io" | "registry-1.docker.io") | None => {
                let path = if path.contains('/') { path.to_owned() } else { format!("library/{path}") };
                Repository { registry: DOCKER_HUB.to_owned(), path }
            }
            Some(domain) => Repository { registry: domain.to_owned(), path: path.to_owned() },
        };
        let tag = tag.or(digest.is_none().then_some("latest")).map(str::to_owned);
        Ok(Self { repository, tag, digest })
    }

    /// Where it is.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Its tag: `latest` if it has neither a tag nor a digest.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Its digest.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }
}

impl FromStr for Reference {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        Self::parse(text)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if let Some(tag) = self.tag() {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// A name's registry, if it names one, and the rest.
fn split(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), path),
        _ => (None, name),
    }
}

/// Whether it is a name; the way out is empty where it is to write it in lower case.
fn check_name(name: &str, domain: Option<&str>, path: &str) -> Result<(), Wrong> {
    if let Some(domain) = domain {
        check_registry(domain)?;
    }
    if name.len() > 255 {
        return Err(Wrong::new("the name is longer than 255", "choose a shorter one"));
    }
    if path.chars().any(|c| c.is_ascii_uppercase()) {
        return Err(Wrong::new("names of images are in lower case", ""));
    }
    match path.split('/').find(|component| !is_component(component)) {
        None => Ok(()),
        Some("") => Err(Wrong::new("a part of the name is empty", "leave a / or : out")),
        Some(component) => {
            let reason =
                format!("{component:?} is no part of a name: a-z, 0-9, between them ., _, __ or dashes");
            Err(Wrong::new(reason, "correct it"))
        }
    }
}

fn check_registry(domain: &str) -> Result<(), Wrong> {
    let (host, port) = match domain.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (domain, None),
    };
    let six = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if !six.map_or_else(|| is_domain(host), |six| six.parse::<std::net::Ipv6Addr>().is_ok()) {
        let reason = format!("{host:?} is no name of a registry");
        return Err(Wrong::new(reason, "correct what stands before /"));
    }
    if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
        return Err(Wrong::new("the registry's port is no number from 1 to 65535", "correct it"));
    }
    Ok(())
}

/// Whether it is a name of a host by RFC 1123: labels of letters, digits and inner `-`, at most 63 each and 253 in all.
pub fn is_domain(name: &str) -> bool {
    name.len() <= 253
        && name.strip_suffix('.').unwrap_or(name).split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

fn check_tag(tag: &str) -> Result<(), Wrong> {
    let is_tag = tag.len() <= 128
        && !tag.starts_with(['.', '-'])
        && tag.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    match tag {
        "" => Err(Wrong::new("no tag follows the colon", "add one, or leave the colon out")),
        _ if is_tag => Ok(()),
        _ => {
            let reason =
                format!("{tag:?} is no tag: letters, digits, _, . and -, at most 128, not first . or -");
            Err(Wrong::new(reason, "choose such a tag"))
        }
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(component: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    component.starts_with(plain)
        && component.ends_with(plain)
        && component
            .split(plain)
            .all(|between| matches!(between, "" | "." | "_" | "__") || between.chars().all(|c| c == '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_whole() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (text, whole, api) in [
            ("nginx", "docker.io/library/nginx:latest", "registry-1.docker.io"),
            ("team/web:1", "docker.io/team/web:1", "registry-1.docker.io"),
            ("index.docker.io/nginx:1", "docker.io/library/nginx:1", "registry-1.docker.io"),
            ("quay.io/a/b", "quay.io/a/b:latest", "quay.io"),
            ("localhost/a", "localhost/a:latest", "localhost"),
            ("localhost:5000/a:b", "localhost:5000/a:b", "localhost:5000"),
            ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000"),
            ("[::1]/a", "[::1]/a:latest", "[::1]"),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!((reference.to_string().as_str(), reference.repository().api()), (whole, api));
            assert_eq!(Reference::parse(whole), Ok(reference), "{text}");
        }
        let both = Reference::parse(&format!("a/b:1@{digest}")).unwrap();
        assert_eq!(both.to_string(), format!("docker.io/a/b:1@{digest}"));
        assert_eq!(Reference::parse(&format!("a@{digest}")).unwrap().tag(), None);
    }

    #[test]
    fn a_registry_may_have_a_path_for_credentials() {
        for (text, whole) in [
            ("quay.io", "quay.io"),
            ("localhost:5000/", "localhost:5000"),
            ("quay.io/team", "quay.io/team"),
            ("index.docker.io", "docker.io"),
        ] {
            assert_eq!(Repository::of_registry(text).map(|found| found.to_string()), Ok(whole.to_owned()));
        }
        for text in ["", "a b", "quay.io:0", "quay.io/Team"] {
            assert!(Repository::of_registry(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_reference_is_told() {
        for (text, reason, help) in [
            ("https://a/b", "it is a URL", "leave out what stands before the host, and ://"),
            ("Nginx:1", "names of images are in lower case", "write \"nginx:1\""),
            ("a:", "no tag follows the colon", "add one, or leave the colon out"),
            ("a.b:0/c", "the registry's port is no number from 1 to 65535", "correct it"),
            ("[::g]:1/c", "\"[::g]\" is no name of a registry", "correct what stands before /"),
            ("a//b", "a part of the name is empty", "leave a / or : out"),
        ] {
            assert_eq!(Reference::parse(text), Err(Wrong::new(reason, help)), "{text}");
        }
    }
}
