//! `import` and `export`: from and to what others start containers with. What isn't carried over is told on standard error,
//! a line each.

use super::{FORMATS, print, quoted, shown};
use crate::arguments::Arguments;
use crate::failure::Failure;
use forgeone_config::{
    ContainerConfig, Dialect, Lost, Variables, export_configs, import_configs, load_config,
    read_text_from_file, save_config_to_file,
};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::Path;

pub(super) const IMPORT: &str = "\
import --from WHAT [options] <file>
       forgeone config import --from docker-run [options] -- docker run ...

Makes a configuration of what others start containers with; `-` is standard input.
What a configuration can't say is listed on standard error, with where it stands.

options:
      --from WHAT                docker-run, compose, kubernetes or oci
      --name NAME                the service or container, if there are several
      --directory DIRECTORY      write each to NAME.FORMAT there, instead
      --env-file FILE            variables of a Compose file below those of the
                                 environment; several times (.env beside it)
      --format FORMAT            yaml, json, toml or env (yaml)
";

pub(super) const EXPORT: &str = "\
export --to WHAT <sources...>

Writes a configuration as others do; several go into one Compose file. What can't
be said there is listed on standard error, with where it stands.

options:
      --to WHAT                  docker-run, compose, kubernetes or oci
";

/// What standard input may have, as files may.
const MAX_BYTES: u64 = 4 << 20;

pub(super) fn import(words: Vec<OsString>) -> Result<Option<u8>, Failure> {
    let read =
        Arguments::read(words, &[], &["from", "name", "directory", "env-file", "format"], (1, usize::MAX))?;
    let Some(arguments) = read else { return Ok(None) };
    let from = dialect(&arguments, "from")?;
    let format = arguments.choice("format", FORMATS)?;
    let text = match arguments.words() {
        [file] => text(file)?,
        words if from == Dialect::DockerRun => {
            words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
        }
        [_, extra, ..] => {
            return Err(Failure::new(format_args!("unexpected argument {}", extra.escape_debug())));
        }
        [] => return Ok(None),
    };
    let imported = import_configs(&text, from, &variables(&arguments, from)?);
    let (configs, lost) = imported.map_err(|e| match arguments.words() {
        [file] => Failure::from(e).during(format_args!("load {file}")),
        _ => Failure::from(e),
    })?;
    let named = |config: &ContainerConfig| config.name.clone().unwrap_or_else(|| "container".to_owned());
    if let Some(directory) = arguments.values("directory").last() {
        for config in &configs {
            save(config, directory, &named(config), format)?;
        }
        tell("import", &lost);
        return Ok(Some(0));
    }
    let wanted = arguments.values("name").last();
    let chosen: Vec<_> =
        configs.iter().filter(|config| wanted.is_none_or(|name| named(config) == name)).collect();
    let names = || configs.iter().map(&named).collect::<Vec<_>>().join(", ");
    match chosen.as_slice() {
        [config] => print(&shown(config, format)?)?,
        [] if configs.is_empty() => return Err(Failure::new("there is no container in it")),
        [] => return Err(Failure::new(format_args!("there is no such --name; there are {}", names()))),
        _ => {
            let message =
                format!("there are several: {}; choose one by --name, or give --directory", names());
            return Err(Failure::new(message));
        }
    }
    tell("import", &lost);
    Ok(Some(0))
}

pub(super) fn export(words: Vec<OsString>) -> Result<Option<u8>, Failure> {
    let Some(arguments) = Arguments::read(words, &[], &["to"], (1, usize::MAX))? else { return Ok(None) };
    let to = dialect(&arguments, "to")?;
    let configs =
        arguments.words().iter().map(|source| load_config(source)).collect::<Result<Vec<_>, _>>()?;
    let (text, lost) = export_configs(&configs, to)?;
    print(&text)?;
    tell("export", &lost);
    Ok(Some(0))
}

fn dialect(arguments: &Arguments, option: &str) -> Result<Dialect, Failure> {
    let name = arguments.values(option).last();
    let missing =
        || Failure::new(format_args!("--{option} is missing: docker-run, compose, kubernetes or oci"));
    Dialect::named(name.ok_or_else(missing)?)
        .map_err(|e| Failure::from(e).during(format_args!("option --{option}")))
}

/// What a Compose file's variables stand for: the environment has it, or files named by an option, or `.env` beside it.
fn variables(arguments: &Arguments, from: Dialect) -> Result<Variables, Failure> {
    let mut files: Vec<_> = arguments.values("env-file").map(str::to_owned).collect();
    if from != Dialect::Compose {
        return match files.is_empty() {
            true => Ok(Variables::default()),
            false => Err(Failure::new("option --env-file is for --from compose alone")),
        };
    }
    if files.is_empty() {
        let file = arguments.words().first().filter(|file| *file != "-");
        let beside = file.and_then(|file| Path::new(file).parent()).unwrap_or(Path::new("")).join(".env");
        files.extend(beside.exists().then(|| beside.to_string_lossy().into_owned()));
    }
    let mut variables = Variables::of_process();
    for file in files {
        variables.add_file(&file)?;
    }
    Ok(variables)
}

fn text(file: &str) -> Result<String, Failure> {
    if file != "-" {
        return Ok(read_text_from_file(file)?);
    }
    let wrong = |reason: &dyn std::fmt::Display| Failure::new(format_args!("read standard input: {reason}"));
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|e| wrong(&e))?;
    if read as u64 > MAX_BYTES {
        return Err(wrong(&"it has more than 4 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| wrong(&"it is no UTF-8"))
}

/// Writes a configuration to a file that isn't there yet.
fn save(config: &ContainerConfig, directory: &str, name: &str, format: &str) -> Result<(), Failure> {
    if name.contains('/') || name.starts_with('.') {
        return Err(Failure::new(format_args!("{name:?} is no name of a file; choose it by --name")));
    }
    if format == "env" {
        return Err(Failure::new("option --format is yaml or json or toml with --directory"));
    }
    let path = Path::new(directory).join(format!("{name}.{format}"));
    let path = path.to_string_lossy();
    if Path::new(&*path).exists() {
        return Err(Failure::new(format_args!("save {path}: it is there already; move it away")));
    }
    Ok(save_config_to_file(config, &path, format)?)
}

fn tell(command: &str, lost: &[Lost]) {
    let lines: String =
        lost.iter().map(|lost| format!("forgeone: config {command}: not carried over: {lost}\n")).collect();
    // A note beside the result; nobody is left to be told if that fails.
    let _ = std::io::stderr().write_all(lines.as_bytes());
}
