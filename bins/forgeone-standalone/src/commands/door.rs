//! What the OCI runtime does itself, once it is told the container's id: `exec`, `state`, `top`, `update`.

use crate::here::Here;
use forgeone_cli::{Call, usage};
use forgeone_runtime::registry::resolve_user;
use forgeone_runtime::{Error, Kind, Result};
use forgeone_sys::fs::{self, Mode, OFlags};
use std::ffi::OsString;
use std::os::fd::AsFd;

pub(super) fn state(here: &Here, call: &Call) -> Result<u8> {
    let container = here.register.find(call.text(0)?)?;
    Err(here.become_door(["state", container.id()]))
}

pub(super) fn top(here: &Here, call: &Call) -> Result<u8> {
    let container = here.register.find(call.text(0)?)?;
    super::running(&container)?;
    let options = call.words.iter().skip(1).cloned();
    Err(here.become_door([OsString::from("ps"), container.id().into()].into_iter().chain(options)))
}

pub(super) fn update(here: &Here, call: &Call) -> Result<u8> {
    let container = here.register.find(call.text(0)?)?;
    super::running(&container)?;
    let mut words = vec!["update".to_owned()];
    words.extend(call.flags.texts_in_order()?.iter().map(|(name, value)| format!("--{name}={value}")));
    words.push(container.id().to_owned());
    here.enter(&container)?;
    Err(here.become_door(words))
}

pub(super) fn exec(here: &Here, call: &Call) -> Result<u8> {
    let container = here.register.find(call.text(0)?)?;
    super::running(&container)?;
    let mut words: Vec<OsString> = vec!["exec".into()];
    let flags = &call.flags;
    for (name, on) in [("--tty", flags.switch("tty")), ("--detach", flags.switch("detach"))] {
        if on {
            words.push(name.into());
        }
    }
    for (name, value) in crate::asked::variables(flags)? {
        words.push(format!("--env={name}={value}").into());
    }
    if let Some(dir) = flags.text("workdir")? {
        words.push(format!("--cwd={dir}").into());
    }
    if let Some(user) = flags.text("user")? {
        let pid = here.runtime().state(container.id())?.pid;
        let root =
            fs::open(format!("/proc/{pid}/root").as_str(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
        let user = resolve_user(root.as_fd(), user, &[])?;
        words.push(format!("--user={}:{}", user.uid, user.gid).into());
        words.extend(user.groups.iter().map(|gid| format!("--additional-gids={gid}").into()));
    }
    if flags.switch("privileged") {
        let all = forgeone_sys::credentials::CAPABILITIES;
        words.extend(all.iter().map(|capability| format!("--cap={capability}").into()));
    }
    words.push(container.id().into());
    words.extend(call.words.iter().skip(1).cloned());
    if !flags.switch("interactive") && !flags.switch("tty") {
        let nothing = fs::open("/dev/null", OFlags::RDONLY, Mode::empty())?;
        fs::dup2_stdio(&nothing, 0).map_err(|e| Error::new(Kind::System, e.to_string()))?;
    }
    if call.words.len() < 2 {
        return Err(usage("missing <command>"));
    }
    here.enter(&container)?;
    Err(here.become_door(words))
}
