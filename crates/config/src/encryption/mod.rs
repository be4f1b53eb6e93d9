//! Encryption of files and of single values, in the format of [age](https://age-encryption.org/v1).
//!
//! A file is encrypted as a whole, in armour, and keeps its name; or single texts of it are, which then are
//! `age-encrypted:` and base64. What a value is encrypted for is its place, too: moved to another key it is refused.
//! Secrets are in memory that is overwritten when it is given back, and stand in no `Debug` output and no error.

mod keys;
mod seal;
mod wipe;

pub use keys::{Identities, Passphrase, Recipients};
pub use seal::{decrypt_text, decrypt_values, encrypt_text, encrypt_values, encrypted_paths, is_encrypted};
pub(crate) use wipe::Wipe;
pub use zeroize::Zeroizing;
