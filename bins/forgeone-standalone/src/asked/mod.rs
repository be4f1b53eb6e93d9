//! From the options of `run` and `create` to a configuration, and what is asked for besides it.

mod environment;
mod kind;
mod network;

pub(crate) use environment::variables;
use forgeone_cli::{Call, Values, usage};
use forgeone_config::{
    ContainerConfig, RunOptions, Secret, load_config_from_file, merge_configs, split_words,
};
use forgeone_runtime::registry::{Creation, SourceKind};
use forgeone_runtime::{Error, Kind, Result};
use std::path::Path;

/// What `run` and `create` were asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The configuration; its image is what is to be run.
    pub(crate) config: ContainerConfig,
    /// The rest.
    pub(crate) how: Creation,
}

/// Options that mean the same as another one of Docker's, by which they are read.
const SAME: &[(&str, &str)] = &[("cpu", "cpus"), ("pids", "pids-limit"), ("mac", "mac-address")];

/// Options that aren't part of a configuration, or are read here.
const OWN: &[&str] = &[
    "rootfs",
    "cmd",
    "config",
    "env",
    "env-file",
    "env-host",
    "secret",
    "mem",
    "disk",
    "seccomp",
    "no-new-privs",
    "rm",
    "storage-driver",
    "cidfile",
    "detach",
    "detach-keys",
    "sig-proxy",
    "annotation",
    "health-on-failure",
    "entrypoint",
    "network",
    "net",
    "net6",
    "bridge",
    "cni",
    "ingress",
    "egress",
    "network-bps",
];

/// Reads them all.
pub(crate) fn asked(call: &Call) -> Result<Asked> {
    let flags = &call.flags;
    let mut options = RunOptions::default();
    for (name, value) in flags.texts_in_order()? {
        let name = SAME.iter().find(|(ours, _)| *ours == name).map_or(name, |(_, docker)| docker);
        if !OWN.contains(&name) && !value.is_empty() {
            options.add(name, value).map_err(usage)?;
        }
    }
    let words = call.texts()?;
    let (image, source, rest) = image(flags, &words)?;
    let rest: Vec<String> = rest.iter().map(|word| (*word).to_owned()).collect();
    own(flags, &mut options)?;
    let network = network::Asked::read(flags, &mut options)?;
    let finished = options.finish(image.unwrap_or_default(), &rest);
    let (mut config, lost) = finished.map_err(|e| usage(e.to_string()))?;
    if let Some(lost) = lost.first() {
        return Err(usage(format!("option {}: {}", lost.path, lost.reason)));
    }
    config.secrets = secrets(flags)?.or(config.secrets);
    if let Some(file) = flags.text("config")? {
        let base = load_config_from_file(file).map_err(|e| Error::new(Kind::Config, format!("{e:#}")))?;
        config = merge_configs(&base, &config);
    }
    network.apply(&mut config)?;
    command(flags, &mut config)?;
    if config.image.is_empty() {
        return Err(usage("missing <image>, or --rootfs, or --config with an image"));
    }
    let how = Creation {
        source,
        storage_driver: flags.text("storage-driver")?.map(str::to_owned),
        host_environment: flags.switch("env-host"),
        auto_remove: flags.switch("rm"),
    };
    Ok(Asked { config, how })
}

/// What is run: the image, and what of the words follows it.
fn image<'a>(
    flags: &'a Values,
    words: &'a [&'a str],
) -> Result<(Option<&'a str>, Option<SourceKind>, &'a [&'a str])> {
    match (flags.text("rootfs")?, words) {
        (Some(path), words) => Ok((Some(path), kind::of_path(Path::new(path))?, words)),
        (None, [image, rest @ ..]) => {
            let is_path = image.starts_with(['/', '.']);
            let kind = if is_path { kind::of_path(Path::new(image))? } else { Some(SourceKind::Image) };
            Ok((Some(image), kind, rest))
        }
        (None, []) => Ok((None, None, &[])),
    }
}

/// Options whose form is ours.
fn own(flags: &Values, options: &mut RunOptions) -> Result<()> {
    let mut add = |name: &str, value: &str| options.add(name, value).map_err(usage);
    for (name, value) in variables(flags)? {
        add("env", &format!("{name}={value}"))?;
    }
    if let Some(megabytes) = flags.number("mem")? {
        add("memory", &format!("{megabytes}m"))?;
    }
    if let Some(size) = flags.text("disk")? {
        add("storage-opt", &format!("size={size}"))?;
    }
    for annotation in flags.texts("annotation")? {
        add("annotation", &annotation)?;
    }
    if let Some(action) = flags.text("health-on-failure")? {
        let known = ["none", "kill", "restart", "stop"];
        if !known.contains(&action) {
            return Err(usage(format!(
                "option --health-on-failure: {action:?} is none of {}",
                known.join(", ")
            )));
        }
        add("annotation", &format!("{}={action}", forgeone_runtime::monitor::ON_FAILURE))?;
    }
    match flags.text("seccomp")? {
        Some("unconfined") => add("security-opt", "seccomp=unconfined")?,
        Some(file) => {
            let file = std::path::absolute(file).map_err(|e| usage(format!("option --seccomp: {e}")))?;
            add("security-opt", &format!("seccomp={}", file.display()))?;
        }
        None => {}
    }
    if let Some(on) = flags.choice("no-new-privs") {
        add("security-opt", &format!("no-new-privileges={on}"))?;
    }
    Ok(())
}

/// The program and its arguments, as `--cmd` and `--entrypoint` say.
fn command(flags: &Values, config: &mut ContainerConfig) -> Result<()> {
    let wrong = |name: &str, reason: String| usage(format!("option --{name}: {reason}"));
    if let Some(entry) = flags.text("entrypoint")? {
        let words: Vec<String> = match entry.starts_with('[') {
            true => serde_json::from_str(entry).map_err(|e| wrong("entrypoint", e.to_string()))?,
            false => vec![entry.to_owned()],
        };
        let mut words = words.into_iter();
        config.command = words.next();
        let rest: Vec<String> = words.chain(config.args.take().unwrap_or_default()).collect();
        config.args = Some(rest);
    } else if flags.is_empty("entrypoint") {
        // Without the image's: the program is the first word.
        let mut words = config.args.take().unwrap_or_default().into_iter();
        config.command = words.next();
        config.args = Some(words.collect());
    }
    if let Some(line) = flags.text("cmd")? {
        let words = split_words(line).map_err(|reason| wrong("cmd", reason))?;
        let (program, arguments) =
            words.split_first().ok_or_else(|| wrong("cmd", "it names no program".to_owned()))?;
        config.command = Some(program.clone());
        config.args = Some(arguments.iter().cloned().chain(config.args.take().unwrap_or_default()).collect());
    }
    // As the seed has it: interactive without a program is a shell, where no image says otherwise.
    let nothing = config.command.is_none() && config.args.is_none();
    if nothing && flags.switch("interactive") && flags.text("rootfs")?.is_some() {
        config.command = Some("/bin/sh".to_owned());
    }
    Ok(())
}

/// `NAME[,source=FILE|env=VARIABLE][,target=PATH]`.
fn secrets(flags: &Values) -> Result<Option<Vec<Secret>>> {
    let texts = flags.texts("secret")?;
    if texts.is_empty() {
        return Ok(None);
    }
    let secret = |text: &String| {
        let mut fields = text.split(',');
        let mut secret = Secret { name: fields.next().unwrap_or_default().to_owned(), ..Secret::default() };
        for field in fields {
            let (key, value) = field.split_once('=').unwrap_or((field, ""));
            let value = Some(value.to_owned());
            match key {
                "source" | "src" | "file" => secret.file = value.map(absolute),
                "env" => secret.environment = value,
                "target" => secret.target = value,
                "type" if field == "type=mount" => {}
                _ => return Err(usage(format!("option --secret: {field:?} is no source, env or target"))),
            }
        }
        Ok(secret)
    };
    texts.iter().map(secret).collect::<Result<Vec<_>>>().map(Some)
}

fn absolute(path: String) -> String {
    std::path::absolute(&path).map_or(path, |path| path.display().to_string())
}

#[cfg(test)]
mod tests;
