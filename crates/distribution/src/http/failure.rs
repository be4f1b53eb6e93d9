//! Why no answer came, in words.

use super::Url;
use crate::{Error, Kind};
use std::io::{self, ErrorKind};

/// A failed exchange with a host.
pub(super) fn of(error: ureq::Error, url: &Url) -> Error {
    of_any(error).during(format_args!("connect to {}", url.authority()))
}

/// A failure while an answer's body came.
pub(crate) fn of_io(error: io::Error) -> Error {
    match error.downcast::<ureq::Error>() {
        Ok(error) => of_any(error),
        Err(error) => of_plain(&error),
    }
}

fn of_any(error: ureq::Error) -> Error {
    match error {
        ureq::Error::Rustls(e) => of_tls(&e),
        ureq::Error::Io(e) => of_plain(&e),
        ureq::Error::Timeout(_) => {
            Error::transient(Kind::Unavailable, "it hangs: nothing came in time").or_help("try again later")
        }
        ureq::Error::HostNotFound => {
            Error::new(Kind::Unavailable, "no such host").or_help("check the name, and the name servers")
        }
        ureq::Error::Protocol(e) => Error::new(
            Kind::Content,
            format_args!("it isn't HTTP that comes: {}", crate::error::line(&e.to_string())),
        ),
        e => Error::new(Kind::Unavailable, e),
    }
}

fn of_plain(error: &io::Error) -> Error {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return of_tls(error);
    }
    match error.kind() {
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => {
            Error::transient(Kind::Unavailable, "the connection broke off").or_help("try again later")
        }
        ErrorKind::TimedOut | ErrorKind::WouldBlock => {
            Error::transient(Kind::Unavailable, "it hangs: nothing came in time").or_help("try again later")
        }
        ErrorKind::ConnectionRefused => {
            Error::new(Kind::Unavailable, "nobody listens there").or_help("check host and port")
        }
        _ => Error::new(Kind::Unavailable, error),
    }
}

fn of_tls(error: &rustls::Error) -> Error {
    match error {
        rustls::Error::InvalidCertificate(reason) => {
            let unknown = matches!(reason, rustls::CertificateError::UnknownIssuer);
            let message = match unknown {
                true => "its certificate is of an unknown authority".to_owned(),
                false => format!("its certificate isn't valid: {}", crate::error::line(&format!("{reason}"))),
            };
            let error = Error::new(Kind::Insecure, message);
            match unknown {
                true => error.or_help(
                    "put the authority's certificate into /etc/containers/certs.d/HOST[:PORT]/ca.crt",
                ),
                false => error.or_help("correct the server's certificate"),
            }
        }
        rustls::Error::AlertReceived(alert) => {
            Error::new(Kind::Insecure, format_args!("TLS: it answers with the alert {alert:?}"))
                .or_help("perhaps it asks for a client's certificate: certs.d/HOST[:PORT]/*.cert and *.key")
        }
        _ => Error::new(
            Kind::Content,
            format_args!("it doesn't speak TLS: {}", crate::error::line(&error.to_string())),
        ),
    }
}
