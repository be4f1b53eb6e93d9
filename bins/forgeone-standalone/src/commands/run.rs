//! `run`, `create`, `start`, `attach`: containers that begin, and standing in for them.

use crate::asked::asked;
use crate::attached::{End, How, Keys, Stand, has_terminal, status};
use crate::here::Here;
use forgeone_cli::{Call, output, usage};
use forgeone_config::RestartPolicy;
use forgeone_runtime::monitor::{Client, Failure};
use forgeone_runtime::registry::{Container, Removal};
use forgeone_runtime::{Error, Kind, Result};
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// What `--detach-keys` is if it isn't given, as Docker's.
const KEYS: &str = "ctrl-p,ctrl-q";

/// A failure, and the exit status that it makes.
type Answer = std::result::Result<u8, Failure>;

pub(super) fn create(here: &Here, call: &Call) -> Answer {
    let container = make(here, call)?;
    output::print(&format!("{}\n", container.id()))?;
    Ok(0)
}

pub(super) fn run(here: &Here, call: &Call) -> Answer {
    let detach = call.flags.switch("detach");
    let how = how(call, call.flags.switch("interactive"))?;
    if !detach && call.flags.switch("tty") && how.stdin && !has_terminal() {
        return Err(
            usage("--interactive with --tty needs a terminal as standard input; leave --tty out").into()
        );
    }
    let container = make(here, call)?;
    let (id, dir) = (container.id().to_owned(), container.dir());
    let begun = begin(here, &container, detach, how);
    match begun {
        Err(failure) => {
            // One that never ran is of no use to whoever wanted it only once.
            if call.flags.switch("rm") && dir.exists() {
                let _ = container.remove(Removal { force: true });
            }
            Err(failure)
        }
        Ok(None) => {
            output::print(&format!("{id}\n"))?;
            Ok(0)
        }
        Ok(Some(status)) => Ok(status),
    }
}

/// Starts it; the exit status if it was stood in for until its end.
fn begin(
    here: &Here,
    container: &Container,
    detach: bool,
    how: How,
) -> std::result::Result<Option<u8>, Failure> {
    here.make_state_root()?;
    let mut client = Client::spawn(container.places(), &container.dir())?;
    if detach {
        client.start()?;
        return Ok(None);
    }
    let stand = Stand::prepare()?;
    let attached = client.attach(how.stdin, true)?;
    client.start()?;
    match stand.attend(here, container.id(), attached, how)? {
        End::Exit(exit) => Ok(Some(status(&exit))),
        End::Detached => Ok(Some(0)),
    }
}

fn make(here: &Here, call: &Call) -> Result<Container> {
    let asked = asked(call)?;
    let file = call.flags.path("cidfile")?.map(|path| id_file(&path)).transpose()?;
    let container = here.register.create("", None, Some(&asked.config), &asked.how)?;
    container.warnings().iter().for_each(|warning| here.log.warn(warning));
    if let Some((path, mut file)) = file
        && let Err(e) = file.write_all(container.id().as_bytes())
    {
        let failed = Error::new(Kind::System, format!("option --cidfile: {}: {e}", path.display()));
        return Err(Error::all(
            [Some(failed), container.remove(Removal::default()).err()].into_iter().flatten().collect(),
        )
        .unwrap_or_else(|| usage("option --cidfile")));
    }
    Ok(container)
}

/// Made before the container, so that there is none whose id couldn't be told.
fn id_file(path: &Path) -> Result<(std::path::PathBuf, File)> {
    let failed = |e| usage(format!("option --cidfile: {}: {e}", path.display()));
    Ok((path.to_owned(), File::create_new(path).map_err(failed)?))
}

fn how(call: &Call, stdin: bool) -> Result<How> {
    let keys = match call.flags.is_empty("detach-keys") {
        true => "",
        false => call.flags.text("detach-keys")?.unwrap_or(KEYS),
    };
    Ok(How { stdin, signals: call.flags.choice("sig-proxy").unwrap_or(true), keys: Keys::parse(keys)? })
}

pub(super) fn start(here: &Here, call: &Call) -> Answer {
    let (words, containers) = match call.flags.switch("all") {
        true => all(here, call)?,
        false => (call.texts()?.into_iter().map(str::to_owned).collect(), here.find_all(&call.texts()?)?),
    };
    if words.is_empty() && !call.flags.switch("all") {
        return Err(usage("missing <container>").into());
    }
    let stay = call.flags.switch("attach") || call.flags.switch("interactive");
    if !stay {
        let mut failures = Vec::new();
        let mut status = 0;
        for (word, container) in words.iter().zip(&containers) {
            match begin(here, container, true, how(call, false)?) {
                Ok(_) => output::print(&format!("{word}\n"))?,
                Err(failure) => {
                    status = failure.status;
                    failures.push(failure.error);
                }
            }
        }
        return match Error::all(failures) {
            Some(error) => Err(Failure { error, status }),
            None => Ok(0),
        };
    }
    let [container] = containers.as_slice() else {
        return Err(usage("one container alone can be attached to").into());
    };
    let how = how(call, call.flags.switch("interactive"))?;
    Ok(begin(here, container, false, how)?.unwrap_or(0))
}

/// Those that don't run; with filters those of a restart policy, as after the machine's start. What was stopped by hand
/// stays so unless its policy is `always`.
fn all(here: &Here, call: &Call) -> Result<(Vec<String>, Vec<Container>)> {
    if !call.words.is_empty() {
        return Err(usage("--all or containers, not both"));
    }
    let policy = |text: &String| match text.split_once('=') {
        Some(("restart-policy", policy)) => policy.parse::<RestartPolicy>().map_err(usage),
        _ => Err(usage(format!("option --filter: {text:?} is no restart-policy=POLICY"))),
    };
    let policies = call.flags.texts("filter")?.iter().map(policy).collect::<Result<Vec<_>>>()?;
    let mut found = Vec::new();
    for container in here.all()? {
        let own = container.config().restart.unwrap_or_default();
        let stays = own == RestartPolicy::UnlessStopped && container.status()?.stopped;
        let wanted = policies.is_empty() || (policies.contains(&own) && !stays);
        if wanted && !super::is_active(&container)? {
            found.push(container);
        }
    }
    Ok((found.iter().map(|container| container.name().to_owned()).collect(), found))
}

pub(super) fn attach(here: &Here, call: &Call) -> Answer {
    let container = here.register.find(call.text(0)?)?;
    let not_running = || Error::new(Kind::State, format!("container {:?} isn't running", container.name()));
    if !super::is_active(&container)? {
        return Err(not_running().into());
    }
    let client = Client::spawn(container.places(), &container.dir())?;
    let stdin = container.config().stdin_open == Some(true) && !call.flags.switch("no-stdin");
    let stand = Stand::prepare()?;
    let attached = client.attach(stdin, false)?;
    match stand.attend(here, container.id(), attached, how(call, stdin)?)? {
        End::Exit(exit) => Ok(status(&exit)),
        End::Detached => Ok(0),
    }
}
