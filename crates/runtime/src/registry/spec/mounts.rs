//! Mounts: the kernel's file systems, the container's own files, and what was asked for.

use super::super::prepare::{SECRETS, SHM as SHM_PLACE};
use super::namespaces::{self, Whose};
use super::process::INIT;
use super::{Inputs, refuse};
use crate::error::Result;
use crate::fs::known_options;
use crate::spec::Mount;
use forgeone_config::{Mount as Asked, MountType};

/// The size of `/dev/shm` where nobody says another, in bytes.
const SHM: u64 = 64 << 20;

/// Files of the container's directory, and where they are inside.
pub(in super::super) const FILES: [(&str, &str); 3] =
    [("resolv.conf", "/etc/resolv.conf"), ("hosts", "/etc/hosts"), ("hostname", "/etc/hostname")];

pub(super) fn make(inputs: &Inputs) -> Result<Vec<Mount>> {
    let mut all = kernel(inputs);
    let mut own = Vec::new();
    for asked in inputs.config().mounts.iter().flatten().filter(|m| m.mount_type != MountType::Volume) {
        own.push(plain(inputs, asked)?);
    }
    for volume in &inputs.found.volumes {
        own.push(mount(&volume.path, &volume.kind, &volume.source, &volume.options));
    }
    for (file, inside) in FILES {
        if !own.iter().any(|mount| mount.destination == inside) {
            let source = inputs.found.directory.join(file).to_string_lossy().into_owned();
            own.push(mount(
                inside,
                "bind",
                &source,
                &words(&["bind", "rprivate", "nosuid", "noexec", "nodev"]),
            ));
        }
    }
    for (name, target) in inputs.secrets() {
        let source = inputs.found.directory.join(SECRETS).join(name).to_string_lossy().into_owned();
        own.push(mount(
            &target,
            "bind",
            &source,
            &words(&["bind", "ro", "rprivate", "nosuid", "noexec", "nodev"]),
        ));
    }
    if inputs.config().init == Some(true) {
        let source = inputs.found.init.to_string_lossy().into_owned();
        own.push(mount(INIT, "bind", &source, &words(&["bind", "ro", "rprivate", "nosuid", "nodev"])));
    }
    // What is further up comes first, or it would hide what is below it.
    own.sort_by_key(|mount| mount.destination.split('/').count());
    all.extend(own);
    Ok(all)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn mount(destination: &str, kind: &str, source: &str, options: &[String]) -> Mount {
    let (destination, kind, source) = (destination.to_owned(), kind.to_owned(), source.to_owned());
    Mount { destination, kind, source, options: options.to_vec(), ..Mount::default() }
}

/// What every container has: of the kernel nothing that can be written, unless it is privileged.
fn kernel(inputs: &Inputs) -> Vec<Mount> {
    let access = if inputs.privileged() { "rw" } else { "ro" };
    let rows: [(&str, &str, &str, &[&str]); 3] = [
        ("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        ("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        (
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
    ];
    let mut all: Vec<_> =
        rows.map(|(at, kind, source, options)| mount(at, kind, source, &words(options))).to_vec();
    all.extend(shared_memory(inputs));
    // A user namespace that doesn't own the network namespace has no sysfs of its own.
    let sys = match inputs.found.rootless && namespaces::shares_host_network(inputs.config()) {
        true => {
            mount("/sys", "bind", "/sys", &words(&["rbind", "rslave", "nosuid", "noexec", "nodev", access]))
        }
        false => mount("/sys", "sysfs", "sysfs", &words(&["nosuid", "noexec", "nodev", access])),
    };
    all.push(sys);
    all.push(mount(
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &words(&["nosuid", "noexec", "nodev", "relatime", access]),
    ));
    let taken: Vec<&str> =
        inputs.config().mounts.iter().flatten().map(|mount| mount.destination.as_str()).collect();
    all.retain(|mount| !taken.contains(&mount.destination.as_str()));
    all
}

/// `/dev/shm` and `/dev/mqueue`, which are those of whose objects are shared.
fn shared_memory(inputs: &Inputs) -> Vec<Mount> {
    let ipc = namespaces::all(inputs.config())
        .into_iter()
        .find(|(kind, ..)| *kind == "ipc")
        .map(|(.., whose)| whose);
    let joined = inputs.found.joined.iter().find(|joined| joined.kind == "ipc");
    let bound = |source: String, at: &str| {
        mount(at, "bind", &source, &words(&["rbind", "nosuid", "noexec", "nodev"]))
    };
    let queues = mount("/dev/mqueue", "mqueue", "mqueue", &words(&["nosuid", "noexec", "nodev"]));
    match (ipc, joined) {
        (Some(Whose::Host), _) => ["/dev/shm", "/dev/mqueue"].map(|at| bound(at.to_owned(), at)).to_vec(),
        (Some(Whose::Container(_)), Some(_)) => {
            vec![
                bound(inputs.found.directory.join(SHM_PLACE).to_string_lossy().into_owned(), "/dev/shm"),
                queues,
            ]
        }
        _ => {
            let size = format!("size={}", inputs.config().shm_size.unwrap_or(SHM));
            let shm =
                mount("/dev/shm", "tmpfs", "shm", &words(&["nosuid", "noexec", "nodev", "mode=1777", &size]));
            vec![shm, queues]
        }
    }
}

/// A mount that was asked for, but for volumes.
fn plain(inputs: &Inputs, asked: &Asked) -> Result<Mount> {
    let field = || format!("mount {}", asked.destination);
    let own = asked.options.as_deref().unwrap_or_default();
    let read_only = asked.read_only.then(|| "ro".to_owned());
    let options = match asked.mount_type {
        MountType::Bind => {
            bind_options(own, inputs.found.selinux).map_err(|cause| refuse(&field(), cause))?
        }
        MountType::Tmpfs => {
            words(&["nosuid", "nodev", "noexec"]).into_iter().chain(own.iter().cloned()).collect()
        }
        MountType::Custom | MountType::Volume => own.to_vec(),
    };
    let options: Vec<_> = options.into_iter().chain(read_only).collect();
    let (kind, source) = match asked.mount_type {
        MountType::Bind => ("bind", asked.source.as_str()),
        MountType::Tmpfs => ("tmpfs", if asked.source.is_empty() { "tmpfs" } else { &asked.source }),
        MountType::Custom | MountType::Volume => (asked.source.as_str(), asked.source.as_str()),
    };
    Ok(mount(&asked.destination, kind, source, &options))
}

/// Options of a bind mount: the words of mount(8), and of Docker's `z` and `Z`, which label files for SELinux and without it
/// mean nothing. Others' mounts come in later (slave) unless it is asked otherwise.
pub(in super::super) fn bind_options(
    own: &[String],
    selinux: bool,
) -> std::result::Result<Vec<String>, String> {
    let mut options = words(&["rbind", "rprivate"]);
    for word in own {
        match word.as_str() {
            "z" | "Z" if !selinux => {}
            "z" | "Z" => {
                let way = "label the files themselves (chcon -R -t container_file_t), and leave it out";
                return Err(format!("option {word:?}: files aren't labelled by this version; {way}"));
            }
            "bind" => options.retain(|word| word != "rbind"),
            "rbind" | "nocopy" | "copy" => {}
            known if known_options().any(|option| option == known) => {}
            _ => return Err(format!("there is no option {word:?} for it; mount(8) lists them")),
        }
        if !matches!(word.as_str(), "z" | "Z" | "rbind" | "nocopy" | "copy") {
            options.push(word.clone());
        }
    }
    Ok(options)
}

impl Inputs<'_> {
    /// Each secret's name, and where it is inside.
    fn secrets(&self) -> Vec<(&str, String)> {
        let secrets = self.config().secrets.iter().flatten();
        secrets.map(|secret| (secret.name.as_str(), secret_target(secret))).collect()
    }
}

/// Where a secret is inside.
pub(in super::super) fn secret_target(secret: &forgeone_config::Secret) -> String {
    secret.target.clone().unwrap_or_else(|| format!("/run/secrets/{}", secret.name))
}
