//! `run`: create, start, wait for the end, delete.

use super::{Door, create_options};
use crate::foreground::{Foreground, console_size};
use crate::own::{self, OwnBundle};
use forgeone_cli::settings::{StateRoot, make_runtime_dir};
use forgeone_cli::{Call, usage};
use forgeone_runtime::lifecycle::{CreateOptions, Runtime, Settings};
use forgeone_runtime::{Error, Kind, Result};
use forgeone_sys::process::{geteuid, getpid, set_child_subreaper};

pub(crate) fn run(door: &Door, call: &Call) -> Result<u8> {
    let detach = call.flags.switch("detach");
    let options = create_options(door, call, detach)?;
    make_runtime_dir(&door.root)?;
    if call.id()? == own::IMAGE && call.flags.value("bundle").is_none() {
        if detach {
            return Err(usage("self is the built-in image, which reports and ends: not with --detach"));
        }
        if options.bundle.join("config.json").exists() {
            door.log
                .warn("run: self is the built-in image; to run the bundle here under this id: --bundle .");
        }
        return built_in(door, &options);
    }
    if detach {
        return detached(door, call.id()?, &options);
    }
    if !call.flags.switch("no-subreaper") {
        set_child_subreaper(true)?;
    }
    attended(door, call.id()?, &options, call.flags.switch("keep"))
}

fn detached(door: &Door, id: &str, options: &CreateOptions) -> Result<u8> {
    let started = door.runtime.run(id, options)?;
    door.warn("run", &started);
    door.log.debug(|| format!("started: init is process {}", started.pid));
    door.await_ready("run", &started);
    Ok(0)
}

fn attended(door: &Door, id: &str, options: &CreateOptions, keep: bool) -> Result<u8> {
    let foreground = Foreground::prepare(door.log)?;
    let options = CreateOptions { console_size: console_size(), ..options.clone() };
    let started = door.runtime.run(id, &options)?;
    door.warn("run", &started);
    let status = foreground.attend(started);
    let exit = status.as_ref().ok().map(|status| i32::from(*status));
    let left = match (keep, exit) {
        (false, exit) => door.runtime.finish(id, exit),
        (true, Some(exit)) => door.runtime.exited(id, exit).map(|()| Vec::new()),
        (true, None) => Ok(Vec::new()),
    };
    // The program's status is what the caller waits for: what fails behind it is reported and changes nothing.
    match left {
        Ok(warnings) => warnings.iter().for_each(|warning| door.log.warn(&format!("run: {warning}"))),
        Err(e) => door.log.error(&format!("run: {e}")),
    }
    status
}

/// `run self`: the container from the built-in image.
fn built_in(door: &Door, options: &CreateOptions) -> Result<u8> {
    let bundle = OwnBundle::make().map_err(|e| Error::new(Kind::System, format!("built-in image: {e}")))?;
    let options = CreateOptions { bundle: bundle.dir.clone(), notify_socket: None, ..options.clone() };
    let id = format!("{}-{}", own::IMAGE, getpid());
    if geteuid() == 0 || door.root.is_chosen() {
        return attended(door, &id, &options, false);
    }
    // An ordinary user without a runtime directory has no place for states; this one needn't outlive the command.
    let settings = Settings { root: bundle.dir.join("state"), ..Settings::default() };
    let root = StateRoot { path: settings.root.clone(), ..door.root.clone() };
    attended(&Door { runtime: Runtime::new(settings), root, log: door.log }, &id, &options, false)
}
