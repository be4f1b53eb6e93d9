//! How registries are spoken with: who asks, whom to trust, and where images are fetched from instead.

mod registries;

use crate::failure::Failure;
use forgeone_cli::Values;
use forgeone_distribution::{AuthFiles, Client, Credentials, Options, Reference};
use registries::Registries;
pub(crate) use registries::Source;
use std::path::PathBuf;

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

    /// The same, with a command's options.
    pub(crate) fn of(flags: &Values) -> Result<Self, Failure> {
        Ok(Self {
            auth_file: flags.value("authfile").map(PathBuf::from),
            authorities: flags.all("cacert").map(PathBuf::from).collect(),
            insecure: flags.choice("tls-verify") == Some(false),
            ..Self::of_user()?
        })
    }

    /// Where an image is looked for, in order.
    pub(crate) fn sources(&self, reference: &Reference) -> Result<Vec<Source>, Failure> {
        self.registries.sources(reference)
    }

    /// The auth files.
    pub(crate) fn auth_files(&self) -> AuthFiles {
        self.auth_file.as_ref().map_or_else(AuthFiles::of_user, AuthFiles::only)
    }

    /// A client of a registry; `insecure` if nobody has to vouch for it.
    pub(crate) fn client(&self, insecure: bool) -> Result<Client, Failure> {
        self.made(insecure, Credentials::Files(self.auth_files()))
    }

    /// A client that says who asks by these.
    pub(crate) fn client_as(&self, credentials: Credentials) -> Result<Client, Failure> {
        self.made(false, credentials)
    }

    fn made(&self, insecure: bool, credentials: Credentials) -> Result<Client, Failure> {
        let mut options = Options { credentials, ..Options::default() };
        options.trust.authorities.clone_from(&self.authorities);
        options.trust.anybody = insecure || self.insecure;
        Client::new(options).map_err(Failure::new)
    }
}
