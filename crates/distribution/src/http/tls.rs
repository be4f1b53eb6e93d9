//! Whom a TLS connection trusts: the system's certificate authorities, further files, and directories of registries
//! (containers-certs.d(5)): `*.crt` are authorities, `*.cert` with `*.key` is who we are.

use crate::{Error, Kind, Result};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::CertifiedKey;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, TlsProvider, parse_pem};

/// Where distributions keep all authorities in one file.
const SYSTEM: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A client's certificates, the leaf first, and their key.
type Identity = (Vec<Certificate<'static>>, PrivateKey<'static>);

/// Whom we trust, and who we are, in PEM.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Files of further authorities, for every host.
    pub authorities: Vec<PathBuf>,
    /// Authorities themselves, for every host.
    pub authorities_pem: Vec<Vec<u8>>,
    /// Whether the system's authorities don't count.
    pub only_these: bool,
    /// Certificates and key of our own.
    pub identity_pem: Option<(Vec<u8>, crate::Secret)>,
    /// Directories with a directory for each host, as `/etc/containers/certs.d`.
    pub directories: Vec<PathBuf>,
    /// Whether any certificate will do, also none: a registry that doesn't know TLS is spoken with in plain HTTP.
    pub anybody: bool,
}

impl Trust {
    /// The configuration of connections to a host; `authority` is host, and port if it isn't 443.
    pub(super) fn config(&self, authority: &str) -> Result<TlsConfig> {
        let mut roots = if self.only_these { Vec::new() } else { system()?.to_vec() };
        for path in &self.authorities {
            roots.extend(read(path)?);
        }
        for pem in &self.authorities_pem {
            roots.extend(certificates(pem).map_err(|reason| Error::new(Kind::System, reason))?);
        }
        let mut identity = match &self.identity_pem {
            Some((certificates, key)) => {
                Some(own(certificates, key.expose().as_bytes()).map_err(|reason| {
                    Error::new(Kind::System, format_args!("the client's certificate and key: {reason}"))
                })?)
            }
            None => None,
        };
        for directory in &self.directories {
            let (authorities, own) = host_directory(&directory.join(authority))?;
            roots.extend(authorities);
            identity = identity.or(own);
        }
        let identity = identity.map(|(chain, key)| ClientCert::new_with_certs(&chain, key));
        Ok(TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(provider())
            .root_certs(RootCerts::from(roots))
            .client_cert(identity)
            .disable_verification(self.anybody)
            .build())
    }
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider())).clone()
}

/// The system's authorities; none where there is no such file.
fn system() -> Result<&'static [Certificate<'static>]> {
    static ROOTS: OnceLock<Vec<Certificate<'static>>> = OnceLock::new();
    if let Some(roots) = ROOTS.get() {
        return Ok(roots);
    }
    let chosen = std::env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty()).map(PathBuf::from);
    let file = chosen.or_else(|| SYSTEM.iter().map(PathBuf::from).find(|path| path.exists()));
    let roots = file.map_or(Ok(Vec::new()), |file| read(&file))?;
    Ok(ROOTS.get_or_init(|| roots))
}

fn read(path: &Path) -> Result<Vec<Certificate<'static>>> {
    let wrong = |reason: String| Error::new(Kind::System, format_args!("read {}: {reason}", path.display()));
    certificates(&fs::read(path).map_err(|e| wrong(e.to_string()))?).map_err(wrong)
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>, String> {
    let mut found = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|e| format!("it is no PEM: {e}"))? {
            found.push(certificate);
        }
    }
    if found.is_empty() { Err("there is no certificate in it".to_owned()) } else { Ok(found) }
}

/// Certificates and the key that belongs to them.
fn own(chain: &[u8], pem: &[u8]) -> Result<Identity, String> {
    let chain = certificates(chain)?;
    let key = PrivateKey::from_pem(pem).map_err(|_| "there is no key in it".to_owned())?;
    let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| "there is no key in it".to_owned())?;
    let signing = provider().key_provider.load_private_key(der).map_err(|e| e.to_string())?;
    let ders = chain.iter().map(|certificate| certificate.der().to_vec().into()).collect();
    CertifiedKey::new(ders, signing).keys_match().map_err(|e| match e {
        rustls::Error::InconsistentKeys(_) => "they don't belong together".to_owned(),
        _ => "it is no certificate of X.509, version 3".to_owned(),
    })?;
    Ok((chain, key))
}

/// What a directory of a host holds; nothing if there is none.
fn host_directory(directory: &Path) -> Result<(Vec<Certificate<'static>>, Option<Identity>)> {
    let wrong = |path: &Path, reason: String| {
        Error::new(Kind::System, format_args!("read {}: {reason}", path.display()))
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(e) if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&e.kind()) => {
            return Ok(<_>::default());
        }
        Err(e) => return Err(wrong(directory, e.to_string())),
    };
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(|e| wrong(directory, e.to_string()))?.path());
    }
    paths.sort();
    let (mut authorities, mut identity) = (Vec::new(), None);
    for path in &paths {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => authorities.extend(read(path)?),
            Some("cert") if identity.is_none() => {
                let key = path.with_extension("key");
                let chain = fs::read(path).map_err(|e| wrong(path, e.to_string()))?;
                let bytes = fs::read(&key).map_err(|e| wrong(&key, e.to_string()))?;
                identity = Some(own(&chain, &bytes).map_err(|reason| wrong(path, reason))?);
            }
            _ => {}
        }
    }
    Ok((authorities, identity))
}
