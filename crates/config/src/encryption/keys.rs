//! Who something is encrypted for, and who opens it.

use crate::{Error, Kind, Result};
use age::secrecy::SecretString;
use std::fmt;
use std::io::Read;
use zeroize::Zeroizing;

/// The work of a passphrase: 2^18 rounds of scrypt, 256 MiB of memory; age's own.
const WORK: u8 = 18;

/// The most that a file may ask for: 1 GiB of memory.
const MOST_WORK: u8 = 20;

/// Files of keys are small.
const MAX_FILE: u64 = 1 << 20;

/// A passphrase, overwritten when it is dropped and never shown.
#[derive(Clone)]
pub struct Passphrase(SecretString);

impl Passphrase {
    /// A passphrase; an empty one is refused.
    ///
    /// # Errors
    /// It is empty.
    pub fn new(text: String) -> Result<Self> {
        let text = Zeroizing::new(text);
        if text.is_empty() {
            return Err(Error::new(Kind::Content, "the passphrase is empty"));
        }
        Ok(Self(SecretString::from(text.as_str())))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

type Recipient = Box<dyn age::Recipient + Send>;

/// Who something is encrypted for: public keys, each of which opens it, or a passphrase.
pub struct Recipients(Vec<Recipient>);

impl Recipients {
    /// Public keys: `age1…` of age, `ssh-ed25519 …` and `ssh-rsa …` of ssh.
    ///
    /// # Errors
    /// None at all, or something that is no such key.
    pub fn keys<'a>(keys: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let keys: Vec<_> = keys.into_iter().map(key).collect::<Result<_>>()?;
        if keys.is_empty() {
            return Err(Error::new(Kind::Content, "there is nobody to encrypt for; name a public key"));
        }
        Ok(Self(keys))
    }

    /// A passphrase, instead of keys. Each thing that it encrypts takes a second and 256 MiB to open.
    pub fn passphrase(passphrase: &Passphrase) -> Self {
        let mut recipient = age::scrypt::Recipient::new(passphrase.0.clone());
        recipient.set_work_factor(WORK);
        Self(vec![Box::new(recipient)])
    }

    pub(super) fn each(&self) -> impl Iterator<Item = &dyn age::Recipient> {
        self.0.iter().map(|recipient| &**recipient as &dyn age::Recipient)
    }
}

impl fmt::Debug for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Recipients({})", self.0.len())
    }
}

/// A public key. One that isn't is not repeated: it may be a private one.
fn key(word: &str) -> Result<Recipient> {
    let word = word.trim();
    if let Ok(key) = word.parse::<age::x25519::Recipient>() {
        return Ok(Box::new(key));
    }
    if let Ok(key) = word.parse::<age::ssh::Recipient>() {
        return Ok(Box::new(key));
    }
    let what = if word.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
        "that is a private key, which isn't for others; its public key begins with age1"
    } else {
        "that is no public key: they begin with age1, ssh-ed25519 or ssh-rsa"
    };
    Err(Error::new(Kind::Content, what))
}

/// What opens something: private keys and passphrases, tried one after the other.
#[derive(Default)]
pub struct Identities(Vec<Box<dyn age::Identity>>);

impl Identities {
    /// Nothing yet: what is encrypted stays closed.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a file of private keys: of age (as age-keygen(1) writes it), or one of ssh, whose own passphrase is given.
    ///
    /// # Errors
    /// A file that can't be read, is larger than 1 MiB or holds no such key; an ssh key that has another passphrase.
    pub fn add_file(&mut self, path: &str, passphrase: Option<&Passphrase>) -> Result<()> {
        self.read_file(path, passphrase).map_err(|e| e.during(format_args!("load the identity {path}")))
    }

    fn read_file(&mut self, path: &str, passphrase: Option<&Passphrase>) -> Result<()> {
        let system = |e: std::io::Error| Error::new(Kind::System, e.to_string());
        let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
        let file = std::fs::File::open(path).map_err(system)?;
        file.take(MAX_FILE).read_to_end(&mut bytes).map_err(system)?;
        // What a parser says of a private key isn't repeated.
        let none = |_| Error::new(Kind::Content, "it holds no private key of age or ssh");
        if bytes.trim_ascii_start().starts_with(b"-----BEGIN") {
            let key = age::ssh::Identity::from_buffer(&bytes[..], None).map_err(none)?;
            match &key {
                age::ssh::Identity::Unsupported(_) => {
                    let message = "the ssh key is of a sort that can't decrypt; ed25519 and rsa can";
                    return Err(Error::new(Kind::Unsupported, message));
                }
                age::ssh::Identity::Encrypted(_) if passphrase.is_none() => {
                    let message = "the ssh key has a passphrase, which wasn't given";
                    return Err(Error::new(Kind::Encrypted, message));
                }
                _ => {}
            }
            self.0.push(Box::new(key.with_callbacks(Given(passphrase.cloned()))));
            return Ok(());
        }
        let keys = age::IdentityFile::from_buffer(&bytes[..]).map_err(none)?;
        let keys = keys.into_identities();
        let keys =
            keys.map_err(|_| Error::new(Kind::Content, "it holds a private key that can't be used"))?;
        if keys.is_empty() {
            return Err(Error::new(Kind::Content, "it holds no private key of age or ssh"));
        }
        self.0.extend(keys.into_iter().map(|key| key as Box<dyn age::Identity>));
        Ok(())
    }

    /// Adds a passphrase.
    pub fn add_passphrase(&mut self, passphrase: &Passphrase) {
        let mut identity = age::scrypt::Identity::new(passphrase.0.clone());
        identity.set_max_work_factor(MOST_WORK);
        self.0.push(Box::new(identity));
    }

    pub(super) fn each(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.0.iter().map(|identity| &**identity)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Identities({})", self.0.len())
    }
}

/// Answers age's questions with the passphrase that was given; nobody is asked.
#[derive(Clone)]
struct Given(Option<Passphrase>);

impl age::Callbacks for Given {
    fn display_message(&self, _: &str) {}

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Option<bool> {
        None
    }

    fn request_public_string(&self, _: &str) -> Option<String> {
        None
    }

    fn request_passphrase(&self, _: &str) -> Option<SecretString> {
        self.0.as_ref().map(|passphrase| passphrase.0.clone())
    }
}
