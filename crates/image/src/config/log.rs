//! Changes of a file that has an audit log are written down in it.

use crate::failure::Failure;
use forgeone_config::audit::{AuditLog, recorded_changes};
use forgeone_config::encryption::Identities;
use forgeone_config::{Decrypted, diff_configs, load_encrypted_config_from_file};
use serde_json::Value;

/// Has `write` write a file. Where it has a log, what changed by meaning is told there, as far as it can be read.
pub(super) fn change(
    command: &str,
    file: &str,
    identities: Option<&Identities>,
    write: impl FnOnce(&str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let Some(mut log) = AuditLog::open(file)? else { return write(file) };
    let none = Identities::none();
    let load = || load_encrypted_config_from_file(file, identities.unwrap_or(&none)).ok();
    let old = load();
    log.record(command, || write(file), || changes(&old?, &load()?))
}

fn changes(old: &Decrypted, new: &Decrypted) -> Option<Vec<Value>> {
    let changes = diff_configs(old.config(), new.config()).ok()?;
    Some(recorded_changes(&changes, |path, text| old.is_secret(path, text) || new.is_secret(path, text)))
}
