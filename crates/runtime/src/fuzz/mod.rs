//! What foreign bytes are read by, each as a function of bytes that panics on a finding: for `make fuzz`, which guides
//! the bytes by what they reach, and for `make test`, which draws them (`testkit::fuzz`).
//!
//! | target | what is read | what has to hold |
//! |---|---|---|
//! | `config` | `config.json`, as text and as a valid one with changes | no panic; what was read is the same when it is written and read again |
//! | `seccomp` | a profile | the compiled program does what a reference interpreter of the profile says, for all ABIs |
//! | `mountinfo` | `/proc/self/mountinfo` and `/proc/PID/cgroup` | places are absolute |
//! | `proc_files` | `/proc/PID/stat`, `status`, `uid_map`, `/proc/locks`, numbers of cgroups, lists of numbers | numbers are below their bound, and no more than that |
//! | `uid_maps` | ranges of ids | none that is taken leaves 32 bits |
//! | `users` | the container's `passwd` and `group`, `exec --user` | no id is the one that means "none"; an option's is what stands there |
//! | `netlink` | answers of the kernel | what is read lies in what was received |
//! | `dbus` | messages of systemd | as long as they say they are; variants are read as they were written |
//! | `protocol` | messages between runtime and init | what is read is the same when it is written and read again |
//! | `names` | ids and paths of the command line and the config | no separator, no way up |
//! | `dns` | questions of containers, answers of other servers | what is asked stands in every answer, which is no longer than it may be |

mod draw;

use crate::spec::IdMapping;
use crate::{bundle, cgroup, fs, json, lifecycle, metrics, numbers, plan, resctrl, spec};
pub(crate) use draw::Draw;

/// A reader of bytes, by its name.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("config", config),
    ("seccomp", crate::security::seccomp::fuzz),
    ("mountinfo", mountinfo),
    ("proc_files", proc_files),
    ("uid_maps", uid_maps),
    ("users", users),
    ("netlink", forgeone_sys::net::fuzz),
    ("dbus", cgroup::systemd::fuzz),
    ("protocol", lifecycle::fuzz),
    ("names", names),
    ("dns", crate::network::resolver::fuzz),
];

const FULL: &[u8] = include_bytes!("../../tests/fixtures/config-full.json");

fn config(bytes: &[u8]) {
    judge(bytes);
    // A whole one in which values were exchanged for others.
    let Ok(mut whole) = serde_json::from_slice::<serde_json::Value>(FULL) else { return };
    let mut draw = Draw::new(bytes);
    for _ in 0..draw.below(6) + 1 {
        draw.change(&mut whole);
    }
    judge(whole.to_string().as_bytes());
}

/// Reads, writes and reads again, and plans.
fn judge(config: &[u8]) {
    let spec = match bundle::parse(config) {
        Ok(spec) => spec,
        Err(e) => return assert!(!e.to_string().contains('\n'), "{e}"),
    };
    let written = serde_json::to_vec(&spec).unwrap_or_default();
    let again = bundle::parse(&written);
    let same = again.as_ref().is_ok_and(|again| format!("{again:?}") == format!("{spec:?}"));
    assert!(same, "{} is read as {again:?}, not {spec:?}", String::from_utf8_lossy(&written));
    let options = plan::Options { no_pivot: false, rootless: false, held: u64::MAX, systemd: None };
    let bundle = bundle::Bundle { dir: "/bundle".into(), config: config.to_vec(), spec };
    let layout = cgroup::Layout::parse(MOUNTINFO, CGROUP);
    let (plan, _) = match plan::make("fuzz", &bundle, &layout, options) {
        Ok(made) => made,
        Err(e) => return assert!(!e.to_string().contains('\n'), "{e}"),
    };
    for mount in &plan.rootfs.mounts {
        let inside =
            mount.destination.starts_with('/') && !mount.destination.split('/').any(|part| part == "..");
        assert!(inside, "{}", mount.destination);
    }
    assert!(plan.process.uid != u32::MAX && plan.process.gid != u32::MAX);
}

const MOUNTINFO: &str = "1 0 0:1 / /sys/fs/cgroup rw - cgroup2 none rw\n";
const CGROUP: &str = "0::/user\n";

fn mountinfo(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (mounts, groups) = text.split_once('\0').unwrap_or((&text, CGROUP));
    let layout = cgroup::Layout::parse(mounts, groups);
    // Of one's own, nothing leads up.
    for hierarchy in &layout.v1 {
        assert!(!hierarchy.controllers.is_empty());
    }
    let _ = (layout.mode(), fs::fuzz_mounts(bytes), resctrl::fuzz(bytes));
    let mut draw = Draw::new(bytes);
    let table = draw.mountinfo();
    let _ = cgroup::Layout::parse(&table, groups).mode();
    let _ = (fs::fuzz_mounts(table.as_bytes()), resctrl::fuzz(table.as_bytes()));
}

fn proc_files(bytes: &[u8]) {
    lifecycle::fuzz_proc(bytes);
    let text = String::from_utf8_lossy(bytes);
    metrics::fuzz(&text);
    for bound in [0, 1, 64, 1024] {
        if let Ok(all) = numbers::numbers(&text, bound) {
            let fits = all.len() <= bound && all.iter().all(|number| *number < bound);
            assert!(fits, "{text:?}: {all:?}");
        }
    }
}

fn uid_maps(bytes: &[u8]) {
    let mut draw = Draw::new(bytes);
    let one = |draw: &mut Draw| IdMapping {
        container_id: draw.number(),
        host_id: draw.number(),
        size: draw.number(),
        ..IdMapping::default()
    };
    let maps: Vec<_> = (0..draw.below(400)).map(|_| one(&mut draw)).collect();
    let fits = |first: u32, size: u32| u128::from(first) + u128::from(size) <= u128::from(u32::MAX);
    let right = maps.len() <= 340
        && maps.iter().all(|m| m.size > 0 && fits(m.container_id, m.size) && fits(m.host_id, m.size));
    assert_eq!(spec::wrong_range(&maps).is_none(), right, "{maps:?}");
    assert_eq!(spec::map_lines(&maps).lines().count(), maps.len());
    let text = String::from_utf8_lossy(bytes);
    let _ = json::from_slice::<Vec<IdMapping>>(text.as_bytes());
}

fn users(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some((uid, gid)) = fs::users::ids(&text) {
        let plain = |text: &str| text.trim_start_matches('0').to_owned();
        let said = |id: u32| plain(&id.to_string());
        let (first, second) = text.split_once(':').map_or((&*text, None), |(uid, gid)| (uid, Some(gid)));
        assert!(plain(first) == said(uid) && second.map(plain) == gid.map(said), "{text:?}: {uid} {gid:?}");
    }
    for user in fs::users::parse_users(bytes) {
        assert!(user.uid != u32::MAX && user.gid != u32::MAX, "{user:?}");
    }
    for group in fs::users::parse_groups(bytes) {
        assert!(group.gid != u32::MAX, "{group:?}");
    }
}

fn names(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if plan::check_id(&text).is_ok() {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_+-.".contains(c);
        assert!(!text.is_empty() && text.chars().all(plain) && text != "." && text != "..", "{text:?}");
    }
    if let Ok(path) = fs::fuzz_path(&text) {
        assert!(path.starts_with('/') && !path.contains('\0') && !path.contains("//"), "{text:?}: {path:?}");
        assert!(path.split('/').all(|part| part != ".." && part != "."), "{text:?}: {path:?}");
    }
}

#[cfg(test)]
mod tests;
