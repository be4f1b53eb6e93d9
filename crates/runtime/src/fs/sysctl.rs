//! Kernel parameters: only such that belong to a namespace of the container's own.
//!
//! A key is written with dots (`net.ipv4.ip_forward`) or slashes (`net/ipv4/ip_forward`); whichever separates the
//! first two parts is the separator, and the other then stands for itself, as in sysctl.d(5):
//! `net/ipv4/conf/eth0.5/forwarding` and `net.ipv4.conf.eth0/5.forwarding` are the same parameter.

use super::procfs::Procfs;
use crate::error::{During, Error, Kind, Result};
use crate::spec::Linux;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Parameters of the IPC namespace, beside all of `fs.mqueue`.
const IPC: [&str; 8] = [
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/sem",
    "kernel/shm_rmid_forced",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
];

/// Checks `linux.sysctl` against the namespaces, without looking at the machine; gives the namespaces that are
/// joined by path and written in: whoever can look has to see that none of them is the runtime's own.
pub(super) fn check(linux: &Linux) -> Result<Vec<(String, PathBuf)>> {
    let mut joined = Vec::new();
    for key in linux.sysctl.keys() {
        let refuse = |cause: String| Error::new(Kind::Config, format!("linux.sysctl[{key:?}]: {cause}"));
        let path = path_of(key).ok_or_else(|| refuse("not the name of a kernel parameter".to_owned()))?;
        let kind = namespace_of(&path).map_err(|cause| refuse(cause.to_owned()))?;
        let Some(namespace) = linux.namespaces.iter().find(|n| n.kind == kind) else {
            return Err(refuse(format!(
                "belongs to the host: the container has no {kind} namespace of its own"
            )));
        };
        if !namespace.path.is_empty() && !joined.iter().any(|(k, _)| *k == kind) {
            joined.push((kind.to_owned(), PathBuf::from(&namespace.path)));
        }
    }
    Ok(joined)
}

/// Which namespace a parameter belongs to.
fn namespace_of(path: &str) -> std::result::Result<&'static str, &'static str> {
    match path {
        "kernel/hostname" => Err("set by the field hostname"),
        "kernel/domainname" => Ok("uts"),
        _ if IPC.contains(&path) || path.starts_with("fs/mqueue/") => Ok("ipc"),
        _ if path.starts_with("net/") => Ok("network"),
        _ if path.starts_with("user/") => Ok("user"),
        _ => Err("not in a namespace: it would be set for the whole machine"),
    }
}

/// The file below `/proc/sys` of a key; `None` if it can't be one.
fn path_of(key: &str) -> Option<String> {
    let separator = key.find(['.', '/']).map(|at| key.as_bytes()[at])?;
    let path = match separator {
        b'/' => key.to_owned(),
        _ => key
            .chars()
            .map(|c| {
                if c == '.' {
                    '/'
                } else if c == '/' {
                    '.'
                } else {
                    c
                }
            })
            .collect(),
    };
    let named = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    (named && !path.contains('\0')).then_some(path)
}

/// Writes checked parameters; the caller is in the container's namespaces.
///
/// # Errors
/// The kernel's answer to the first one that can't be written.
pub fn apply_sysctls(procfs: &Procfs, sysctls: &BTreeMap<String, String>) -> Result<()> {
    for (key, value) in sysctls {
        let what = || format!("linux.sysctl[{key:?}]");
        let path = path_of(key)
            .ok_or_else(|| Error::new(Kind::Config, "not the name of a kernel parameter"))
            .during(what)?;
        procfs.write(&format!("sys/{path}"), value.as_bytes()).during(what)?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::spec::Namespace;

    fn linux(key: &str, namespaces: &[(&str, &str)]) -> Linux {
        let namespace = |(kind, path): &(&str, &str)| Namespace {
            kind: (*kind).to_owned(),
            path: (*path).to_owned(),
            ..Default::default()
        };
        Linux {
            sysctl: BTreeMap::from([(key.to_owned(), "1".to_owned())]),
            namespaces: namespaces.iter().map(namespace).collect(),
            ..Linux::default()
        }
    }

    #[test]
    fn keys_become_paths() {
        for (key, path) in [
            ("net.ipv4.ip_forward", Some("net/ipv4/ip_forward")),
            ("net/ipv4/ip_forward", Some("net/ipv4/ip_forward")),
            ("net.ipv4.conf.eth0/5.forwarding", Some("net/ipv4/conf/eth0.5/forwarding")),
            ("net/ipv4/conf/eth0.5/forwarding", Some("net/ipv4/conf/eth0.5/forwarding")),
            ("net", None),
            ("", None),
            ("net..ipv4", None),
            (".net", None),
            ("net/ipv4/", None),
            ("net/../kernel/core_pattern", None),
            ("net.//.kernel", None),
            ("net.x\0", None),
        ] {
            assert_eq!(path_of(key).as_deref(), path, "{key}");
        }
    }

    #[test]
    fn only_the_containers_own_can_be_set() {
        for key in ["kernel.msgmax", "kernel.sem", "kernel/shm_rmid_forced", "fs.mqueue.msg_max"] {
            assert_eq!(check(&linux(key, &[("ipc", "")])).unwrap(), []);
            let e = check(&linux(key, &[("network", "")])).unwrap_err().to_string();
            let cause = "belongs to the host: the container has no ipc namespace of its own";
            assert_eq!(e, format!("linux.sysctl[{key:?}]: {cause}"));
        }
        assert!(check(&linux("net.core.somaxconn", &[("network", "")])).is_ok());
        assert!(check(&linux("net.core.somaxconn", &[])).is_err());
        assert!(check(&linux("kernel.domainname", &[("uts", "")])).is_ok());
        assert!(check(&linux("user.max_user_namespaces", &[("user", "")])).is_ok());
        assert!(check(&linux("user.max_user_namespaces", &[])).is_err());
        let all = [("ipc", ""), ("network", ""), ("uts", ""), ("user", "")];
        for key in ["kernel.hostname", "kernel.core_pattern", "vm.swappiness", "fs.file-max", "network.x"] {
            let e = check(&linux(key, &all)).unwrap_err();
            assert!(e.to_string().starts_with(&format!("linux.sysctl[{key:?}]: ")), "{e}");
        }
    }

    #[test]
    fn joined_namespaces_are_given_back_for_checking() {
        let mut linux = linux("net.core.somaxconn", &[("network", "/run/netns/a"), ("ipc", "")]);
        linux.sysctl.insert("net.ipv4.ip_forward".to_owned(), "1".to_owned());
        linux.sysctl.insert("kernel.msgmax".to_owned(), "1".to_owned());
        assert_eq!(check(&linux).unwrap(), [("network".to_owned(), PathBuf::from("/run/netns/a"))]);
    }
}
