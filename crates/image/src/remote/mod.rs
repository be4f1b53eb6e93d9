//! How registries are spoken with: who asks, whom to trust, and where images are fetched from instead.

mod registries;

use crate::arguments::Arguments;
use crate::failure::Failure;
use forgeone_distribution::{AuthFiles, Client, Credentials, Options, Reference};
use registries::Registries;
pub(crate) use registries::Source;
use std::path::PathBuf;

/// The options with a value of commands that speak with registries.
pub(crate) const VALUED: [&str; 3] = ["authfile", "cacert", "tls-verify"];

/// As the options of a command and the files of this machine say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remote {
    auth_file: Option<PathBuf>,
    authorities: Vec<PathBuf>,
    /// Whether no certificate is needed, for any registry.
    insecure: bool,
    registries: Registries,
}

impl Remote {
    /// As the files of this machine say.
    pub(crate) fn of_user() -> Result<Self, Failure> {
        Ok(Self { registries: Registries::of_user()?, ..Self::default() })
    }

    /// The same, with a command's options ([`VALUED`]).
    pub(crate) fn of(arguments: &Arguments) -> Result<Self, Failure> {
        Ok(Self {
            auth_file: arguments.values("authfile").last().map(PathBuf::from),
            authorities: arguments.values("cacert").map(PathBuf::from).collect(),
            insecure: arguments.choice("tls-verify", &["true", "false"])? == "false",
            ..Self::of_user()?
        })
    }

    /// Where an image is looked for, in order.
    pub(crate) fn sources(&self, reference: &Reference) -> Result<Vec<Source>, Failure> {
        self.registries.sources(reference)
    }

    /// A client of a registry; `insecure` if nobody has to vouch for it.
    pub(crate) fn client(&self, insecure: bool) -> Result<Client, Failure> {
        let mut options = Options::default();
        if let Some(file) = &self.auth_file {
            options.credentials = Credentials::Files(AuthFiles::only(file));
        }
        options.trust.authorities.clone_from(&self.authorities);
        options.trust.anybody = insecure || self.insecure;
        Client::new(options).map_err(Failure::new)
    }
}
