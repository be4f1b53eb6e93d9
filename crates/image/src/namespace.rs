//! What another user than root does with images, they do as root of a user namespace: files there have many owners.
//!
//! ```text
//!  forgeone-image (user) ──clone: user and mount namespace──► the same, as root of it, with the user's ranges of ids
//!         └ writes the maps, waits, ends as it ends
//! ```

use crate::failure::Failure;
use forgeone_runtime::lifecycle::{explain, in_user_namespace};
use forgeone_runtime::{error::During, ids};
use forgeone_sys::process::{self, CloneArgs, Forked, Namespaces};
use forgeone_sys::{fs, signal};
use std::sync::OnceLock;

/// Who started this; inside, that looks like root.
static USER: OnceLock<u32> = OnceLock::new();

/// The effective id of the user who started this.
pub(crate) fn user() -> u32 {
    *USER.get_or_init(process::geteuid)
}

/// Whether it is another user than the machine's root.
pub(crate) fn is_user() -> bool {
    user() != 0 || in_user_namespace()
}

/// Goes on as root of a user namespace, unless this is root. The exit status in the process that only waited for that.
pub(crate) fn enter() -> Result<Option<u8>, Failure> {
    if user() == 0 {
        return Ok(None);
    }
    let failed = |error| Failure::new(explain(error));
    let namespaces = Namespaces::USER | Namespaces::MOUNT;
    let (told, tell) = fs::pipe()?;
    let child = process::clone(&CloneArgs { namespaces, ..CloneArgs::default() });
    match child.during(|| "user namespace").map_err(failed)? {
        Forked::Parent(child) => {
            drop(told);
            // Without its maps the child ends, since nothing is told.
            ids::map(child.pid).map_err(failed)?;
            fs::write_all(&tell, b"g")?;
            let exit = process::wait(child.pid)?;
            Ok(Some(u8::try_from(exit.status()).unwrap_or(1)))
        }
        Forked::Child => {
            drop(tell);
            if let Some(kill) = signal::signal_number("KILL") {
                process::set_parent_death_signal(kill)?;
            }
            match fs::read_up_to(&told, 1)?.is_empty() {
                true => Ok(Some(1)),
                false => Ok(None),
            }
        }
    }
}
