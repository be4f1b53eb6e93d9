//! `push` and `pull`: configurations in registries.

use super::{FORMATS, print, shown};
use crate::arguments::Arguments;
use crate::failure::Failure;
use forgeone_config::{load_config, pull_config, push_config};
use forgeone_distribution::{AuthFiles, Client, Credentials, Options, Reference};
use std::ffi::OsString;

pub(super) const PUSH: &str = "\
push [options] <source> <reference>

The configuration becomes an OCI artifact, registry.example/team/web:1. Its digest
is printed: by it, the very same is pulled. It isn't validated. Who asks is known
from the auth files of Podman and Docker.

options:
      --authfile FILE            the auth file (Podman's and Docker's)
      --cacert FILE              a certificate authority besides the system's
      --plain-http               no TLS; not with passwords you want to keep
";

pub(super) const PULL: &str = "\
pull [options] <reference>

Shows the configuration that was pushed there.

options:
      --format FORMAT            yaml, json, toml or env (yaml)
      --authfile FILE            the auth file (Podman's and Docker's)
      --cacert FILE              a certificate authority besides the system's
      --plain-http               no TLS; not with passwords you want to keep
";

const SWITCHES: &[&str] = &["plain-http"];

pub(super) fn push(words: Vec<OsString>) -> Result<Option<u8>, Failure> {
    let read = Arguments::read(words, SWITCHES, &["authfile", "cacert"], (2, 2))?;
    let Some(arguments) = read else { return Ok(None) };
    let [source, reference] = arguments.words() else { return Ok(None) };
    let (client, reference) = client(&arguments, reference)?;
    let digest = push_config(&client, &reference, &load_config(source)?)?;
    print(&format!("{digest}\n"))?;
    Ok(Some(0))
}

pub(super) fn pull(words: Vec<OsString>) -> Result<Option<u8>, Failure> {
    let read = Arguments::read(words, SWITCHES, &["authfile", "cacert", "format"], (1, 1))?;
    let Some(arguments) = read else { return Ok(None) };
    let format = arguments.choice("format", FORMATS)?;
    let (client, reference) = client(&arguments, &arguments.words()[0])?;
    print(&shown(&pull_config(&client, &reference)?.0, format)?)?;
    Ok(Some(0))
}

/// A client as the options say, and what it is asked for.
fn client(arguments: &Arguments, reference: &str) -> Result<(Client, Reference), Failure> {
    let text = reference.strip_prefix("oci://").unwrap_or(reference);
    let reference =
        Reference::parse(text).map_err(|wrong| Failure::new(format_args!("{reference:?}: {wrong}")))?;
    let mut options = Options::default();
    if let Some(file) = arguments.values("authfile").last() {
        options.credentials = Credentials::Files(AuthFiles::only(file));
    }
    options.trust.authorities.extend(arguments.values("cacert").map(Into::into));
    if arguments.switch("plain-http") {
        options.plain_http.push(reference.repository().registry().to_owned());
    }
    let client = Client::new(options).map_err(Failure::new)?;
    Ok((client, reference))
}
