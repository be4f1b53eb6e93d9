//! `forgeone-distribution`: references of images, and a blocking client of OCI registries (distribution specification 1.1).
//!
//! [`Reference`] and [`Digest`] are the grammar, which needs nothing, no more than [`calendar`]. [`Client`], in the feature `client`, pulls and pushes
//! manifests and blobs. What it hands out was verified: by its digest, its size and its media type. It never blocks for
//! ever, never speaks plain HTTP with other machines unless asked, and sends credentials nowhere but where they belong.
//!
//! ```no_run
//! use forgeone_distribution::{Client, Options, Reference};
//! let client = Client::new(Options::default())?;
//! let reference: Reference = "quay.io/team/web:1".parse().expect("a reference");
//! let manifest = client.manifest(&reference)?;
//! println!("{} {}", manifest.digest(), manifest.media_type());
//! # Ok::<(), forgeone_distribution::Error>(())
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod calendar;
mod digest;
mod reference;

pub use digest::{Algorithm, Digest};
pub use reference::{DOCKER_HUB, Reference, Repository, Wrong, is_domain};

#[cfg(feature = "client")]
mod auth;
#[cfg(feature = "client")]
mod blob;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod error;
#[cfg(feature = "client")]
pub mod http;
#[cfg(feature = "client")]
mod list;
#[cfg(feature = "client")]
mod manifest;
#[cfg(feature = "client")]
mod referrers;
#[cfg(feature = "client")]
mod secret;
#[cfg(feature = "client")]
mod upload;

#[cfg(feature = "client")]
pub use auth::{AuthFiles, Credentials};
#[cfg(feature = "client")]
pub use client::{Client, Options};
#[cfg(feature = "client")]
pub use digest::Hasher;
#[cfg(feature = "client")]
pub use error::{Error, Kind, Result};
#[cfg(feature = "client")]
pub use manifest::{Content, Descriptor, MAX_MANIFEST, Manifest, Platform, media_type};
#[cfg(feature = "client")]
pub use secret::Secret;
#[cfg(feature = "client")]
pub use upload::{Source, Uploaded};
