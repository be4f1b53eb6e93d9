//! The ids of a user namespace that an ordinary user makes: themselves as root, and behind it the ranges that
//! /etc/subuid and /etc/subgid give them (subuid(5)), by `newuidmap` and `newgidmap`.

use crate::error::{During, Error, Kind, Result};
use forgeone_sys::fs;
use forgeone_sys::process::{self, getegid, geteuid};
use std::process::{Child, Command, Stdio};

/// The ranges that the lines of a file give a user, by name or number: first id and how many.
fn ranges(text: &str, name: &str, id: u32) -> Vec<(u32, u32)> {
    let id = id.to_string();
    let range = |line: &str| {
        let mut fields = line.trim().split(':');
        let (owner, first, count) =
            (fields.next()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        (owner == id || (!name.is_empty() && owner == name)).then_some((first, count))
    };
    text.lines().filter_map(range).filter(|(_, count)| *count > 0).collect()
}

/// The name of a user, from the lines of passwd(5); empty if there is none.
fn name_of(passwd: &str, id: u32) -> &str {
    let id = id.to_string();
    let line = passwd.lines().find(|line| line.split(':').nth(2) == Some(&id));
    line.and_then(|line| line.split(':').next()).unwrap_or_default()
}

/// The arguments of newuidmap(1): inside, outside, how many.
fn arguments(own: u32, ranges: &[(u32, u32)]) -> Vec<u32> {
    let mut words = vec![0, own, 1];
    let mut inside = 1;
    for (first, count) in ranges {
        words.extend([inside, *first, *count]);
        inside = inside.saturating_add(*count);
    }
    words
}

/// Writes the maps of a process of ours that is in a new user namespace: ourselves as root, and our ranges behind it.
///
/// # Errors
/// What `newuidmap` or the kernel says, and the package that is missing.
pub fn map(pid: i32) -> Result<()> {
    let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let passwd = text("/etc/passwd");
    let (uid, gid) = (geteuid(), getegid());
    let name = name_of(&passwd, uid);
    let uids = ranges(&text("/etc/subuid"), name, uid);
    let gids = ranges(&text("/etc/subgid"), name, uid);
    if uids.is_empty() || gids.is_empty() {
        return alone(pid, uid, gid);
    }
    helper("newuidmap", pid, &arguments(uid, &uids))?;
    helper("newgidmap", pid, &arguments(gid, &gids))
}

/// The user's own ids and no other, which needs nobody's help.
fn alone(pid: i32, uid: u32, gid: u32) -> Result<()> {
    let files = [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {uid} 1")),
        ("gid_map", format!("0 {gid} 1")),
    ];
    files.into_iter().try_for_each(|(file, text)| {
        let written = fs::write_file_at(fs::CWD, format!("/proc/{pid}/{file}"), text.as_bytes());
        written.during(|| "user namespace")
    })
}

fn helper(program: &str, pid: i32, words: &[u32]) -> Result<()> {
    let failed = |cause: &str| {
        let message = format!(
            "{program}: {cause}; the package uidmap has it, and /etc/subuid and /etc/subgid say what it may"
        );
        Error::new(Kind::Permission, message)
    };
    let mut command = Command::new(program);
    command.arg(pid.to_string()).args(words.iter().map(u32::to_string));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let output = process::spawn(&mut command).and_then(Child::wait_with_output);
    let output = output.map_err(|e| failed(&e.to_string()))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(failed(String::from_utf8_lossy(&output.stderr).trim())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_by_name_and_by_number() {
        let text = "ada:100000:65536\nbob:165536:65536\n1000:300000:10\n# x\nada:1:\nada:5:0\n";
        assert_eq!(ranges(text, "ada", 1000), [(100_000, 65_536), (300_000, 10)]);
        assert_eq!(ranges(text, "", 7), []);
        assert_eq!(name_of("root:x:0:0::/:/bin/sh\nada:x:1000:1000::/:/bin/sh\n", 1000), "ada");
        assert_eq!(name_of("root:x:0:0::/:/bin/sh\n", 1000), "");
    }

    #[test]
    fn the_user_is_root_inside_and_the_ranges_follow() {
        assert_eq!(
            arguments(1000, &[(100_000, 65_536), (300_000, 10)]),
            [0, 1000, 1, 1, 100_000, 65_536, 65_537, 300_000, 10]
        );
    }
}
