//! The client against Debian's registry, and against servers that lie.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod auth;
mod lies;
mod registry;

use forgeone_distribution::http::{Patience, Trust};
use forgeone_distribution::{Client, Credentials, Options, Reference, Secret};
use std::time::Duration;

/// Quick to try again, quick to give up.
fn options() -> Options {
    let patience = Patience {
        idle: Duration::from_secs(30),
        attempts: 3,
        back_off: Duration::from_millis(1),
        ..Patience::default()
    };
    Options { patience, trust: Trust::default(), credentials: Credentials::Anonymous, ..Options::default() }
}

fn client() -> Client {
    Client::new(options()).unwrap()
}

fn password(user: &str, password: &str) -> Credentials {
    Credentials::Password(user.to_owned(), Secret::new(password))
}

/// A reference in a registry.
fn at(host: &str, rest: &str) -> Reference {
    Reference::parse(&format!("{host}/{rest}")).unwrap()
}
