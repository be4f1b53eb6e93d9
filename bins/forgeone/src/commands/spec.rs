//! `spec`: a `config.json` to start from.

use super::{Door, show};
use forgeone_cli::output;
use forgeone_cli::{Call, usage};
use forgeone_runtime::bundle::template;
use forgeone_runtime::{Error, Kind, Result, spec::Spec};
use forgeone_sys::process::{getegid, geteuid};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// The controllers of cgroup v2, at the root of its hierarchy: there is none in a hybrid or v1 layout.
const UNIFIED: &str = "/sys/fs/cgroup/cgroup.controllers";

pub(crate) fn run(_: &Door, call: &Call) -> Result<u8> {
    let rootless = call.flags.switch("rootless").then(|| (geteuid(), getegid()));
    let mut spec = template::template(rootless);
    if Path::new(UNIFIED).exists() {
        template::add_cgroup_namespace(&mut spec);
    }
    let text = text(&spec)?;
    match call.flags.value("output") {
        Some(output) if output == "-" => output::print(&format!("{text}\n"))?,
        output => {
            let bundle = call.flags.path("bundle")?.unwrap_or_default();
            write_new(&bundle.join(output.unwrap_or("config.json".as_ref())), &text)?;
        }
    }
    Ok(0)
}

fn text(spec: &Spec) -> Result<String> {
    show::pretty(spec, b"\t")
}

/// Makes a file that doesn't exist yet; nothing is left of one that can't be written whole.
fn write_new(path: &Path, text: &str) -> Result<()> {
    let failed = |e: std::io::Error| match e.kind() {
        ErrorKind::AlreadyExists => {
            Error::new(Kind::Exists, format!("{} exists; remove it first", path.display()))
        }
        ErrorKind::NotFound => usage(format!("{}: {e}", path.display())),
        _ => Error::new(Kind::System, format!("write {}: {e}", path.display())),
    };
    let mut file = File::create_new(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(|e| {
        let _ = std::fs::remove_file(path); // what is reported is why it could not be written
        failed(e)
    })
}
