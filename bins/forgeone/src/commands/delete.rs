//! `delete`: a stopped container and all that it holds, or with `--force` any.

use super::Door;
use forgeone_cli::Call;
use forgeone_runtime::Result;

pub(crate) fn run(door: &Door, call: &Call) -> Result<u8> {
    let warnings = door.runtime.delete(call.id()?, call.flags.switch("force"))?;
    warnings.iter().for_each(|warning| door.log.warn(&format!("delete: {warning}")));
    door.log.debug(|| "deleted".to_owned());
    Ok(0)
}
