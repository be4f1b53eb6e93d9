//! Where the cgroup hierarchies are mounted, and where in them the caller is.
//!
//! `/proc/self/cgroup` names the hierarchies and the caller's group in each; `/proc/self/mountinfo` says where they
//! can be reached. Both are read once; nothing else is. A mount that another mount covers doesn't count. Where only
//! a part of a hierarchy is mounted (the mount's root is not `/`, as in a container without a cgroup namespace),
//! the caller's path is given below that part.

use crate::error::{During, Result};
use crate::mountinfo;
use forgeone_sys::fs;

/// The machine's cgroup hierarchies, as the caller's mount namespace shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// v1 hierarchies that are mounted, in the kernel's order.
    pub v1: Vec<Hierarchy>,
    /// cgroup2, if it is mounted.
    pub v2: Option<Unified>,
    /// v1 controllers and names that are in use but not mounted here; cgroup2 can't have these controllers either.
    pub unmounted: Vec<String>,
}

/// A v1 hierarchy: one controller, several mounted together, or none and a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hierarchy {
    /// `memory`, or `cpu` and `cpuacct`, or `name=systemd`.
    pub controllers: Vec<String>,
    /// Absolute path of the mount point.
    pub mount: String,
    /// The caller's group below `mount`, without a slash at either end; empty is the top.
    pub own: String,
    /// Whether its files lack the `cpuset.` in front (mount option `noprefix`).
    pub noprefix: bool,
}

/// The cgroup2 mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unified {
    /// Absolute path of the mount point.
    pub mount: String,
    /// The caller's group below `mount`, without a slash at either end; empty is the top.
    pub own: String,
}

/// Which versions of cgroups there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is mounted.
    None,
    /// v1 alone.
    V1,
    /// v1, and cgroup2 beside it.
    Hybrid,
    /// cgroup2 alone.
    V2,
}

/// The layout that the caller sees.
///
/// # Errors
/// When one of the two files can't be read, as where `/proc` isn't mounted.
pub fn detect() -> Result<Layout> {
    of_process("self")
}

/// The same, with the groups of another process, which is named as in `/proc`.
pub(super) fn of_process(process: &str) -> Result<Layout> {
    /// Thousands of mounts fit; more is not a table but an accident.
    const MAX: usize = 64 << 20;
    let read = |path: &str| fs::read_file_at(fs::CWD, path, MAX).during(|| "cgroups");
    let (mountinfo, cgroup) = (read("/proc/self/mountinfo")?, read(&format!("/proc/{process}/cgroup"))?);
    Ok(Layout::parse(&String::from_utf8_lossy(&mountinfo), &String::from_utf8_lossy(&cgroup)))
}

impl Layout {
    /// The layout that the texts of `/proc/self/mountinfo` and `/proc/self/cgroup` describe.
    ///
    /// Lines that don't have the form that proc(5) gives are passed over.
    pub fn parse(mountinfo: &str, cgroup: &str) -> Self {
        let mounts: Vec<Mount> = mountinfo.lines().filter_map(Mount::parse).collect();
        let mut layout = Self::default();
        for line in cgroup.lines() {
            let mut fields = line.splitn(3, ':');
            let (Some(id), Some(names), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
                continue;
            };
            if id == "0" && names.is_empty() {
                layout.v2 = find(&mounts, path, |m| m.kind == "cgroup2")
                    .map(|(mount, own, _)| Unified { mount, own });
            } else if let Some(first) = names.split(',').next().filter(|name| !name.is_empty()) {
                let controllers = names.split(',').map(String::from);
                match find(&mounts, path, |m| m.kind == "cgroup" && m.has_option(first)) {
                    Some((mount, own, found)) => layout.v1.push(Hierarchy {
                        controllers: controllers.collect(),
                        mount,
                        own,
                        noprefix: found.has_option("noprefix"),
                    }),
                    None => layout.unmounted.extend(controllers),
                }
            }
        }
        layout
    }

    /// The group below the mount of a v1 hierarchy, named by its controllers (`cpu,cpuacct`), or of cgroup2 (empty).
    pub(super) fn own(&self, controllers: &str) -> Option<&str> {
        let unified = || self.v2.as_ref().map(|unified| unified.own.as_str());
        let v1 = |h: &&Hierarchy| h.controllers.join(",") == controllers;
        if controllers.is_empty() { unified() } else { self.v1.iter().find(v1).map(|h| h.own.as_str()) }
    }

    /// Which versions of cgroups there are.
    pub fn mode(&self) -> Mode {
        match (self.v1.is_empty(), &self.v2) {
            (true, None) => Mode::None,
            (true, Some(_)) => Mode::V2,
            (false, None) => Mode::V1,
            (false, Some(_)) => Mode::Hybrid,
        }
    }
}

/// The first visible mount that `is` accepts, with its mount point and the caller's group below it; one whose
/// root holds the caller's group goes first.
fn find<'a, 'b>(
    mounts: &'b [Mount<'a>],
    path: &str,
    is: impl Fn(&Mount) -> bool,
) -> Option<(String, String, &'b Mount<'a>)> {
    let mut fallback = None;
    for mount in mounts.iter().filter(|m| is(m) && m.visible(mounts)) {
        let found = (unescape(mount.point), mount);
        match below(&unescape(mount.root), path) {
            Some(own) => return Some((found.0, own.to_owned(), found.1)),
            None => fallback = fallback.or(Some((found.0, String::new(), found.1))),
        }
    }
    fallback
}

/// `path` below `root`, without a slash in front; `None` when it is not inside.
///
/// In a cgroup namespace the kernel writes what is outside with `..`: such a group has no name below the mount.
fn below<'a>(root: &str, path: &'a str) -> Option<&'a str> {
    if path.split('/').any(|part| part == "..") {
        return None;
    }
    let rest = path.strip_prefix(root.trim_end_matches('/'))?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

/// A line of mountinfo, its paths still escaped.
struct Mount<'a> {
    id: u32,
    parent: u32,
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    /// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue` (proc(5)).
    fn parse(line: &'a str) -> Option<Self> {
        let (place, filesystem) = line.split_once(" - ")?;
        let mut place = place.split(' ');
        let mut filesystem = filesystem.split(' ');
        Some(Self {
            id: place.next()?.parse().ok()?,
            parent: place.next()?.parse().ok()?,
            root: place.nth(1)?,
            point: place.next()?,
            kind: filesystem.next()?,
            options: filesystem.nth(1)?,
        })
    }

    fn has_option(&self, name: &str) -> bool {
        self.options.split(',').any(|option| option == name)
    }

    /// Whether looking up the mount point ends here: nothing is mounted over it, nor over a way to it.
    fn visible(&self, mounts: &[Mount]) -> bool {
        let covered = mounts.iter().any(|m| m.parent == self.id && m.point == self.point);
        let mut child = self;
        for _ in 0..mounts.len() {
            let Some(parent) = mounts.iter().find(|m| m.id == child.parent) else {
                break;
            };
            let hides =
                |m: &Mount| m.parent == parent.id && m.id != child.id && contains(m.point, child.point);
            if covered || mounts.iter().any(hides) {
                return false;
            }
            child = parent;
        }
        !covered
    }
}

/// Whether `path` is `dir` or in it.
fn contains(dir: &str, path: &str) -> bool {
    path.strip_prefix(dir.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A path with mountinfo's octal escapes (`\040` for a blank) undone.
fn unescape(text: &str) -> String {
    String::from_utf8_lossy(&mountinfo::unescape(text.as_bytes())).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
23 1 254:0 / / rw,relatime - ext4 /dev/root rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 master:2 - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
    const CGROUP: &str = "9:name=systemd:/\n4:memory:/process_api/e45a\n1:cpu:/\n0::/a/b\n";

    fn mounts(layout: &Layout) -> Vec<(&str, &str)> {
        layout.v1.iter().map(|h| (h.mount.as_str(), h.own.as_str())).collect()
    }

    #[test]
    fn hybrid_machine_with_single_mounts() {
        let layout = Layout::parse(HYBRID, CGROUP);
        assert_eq!(layout.mode(), Mode::Hybrid);
        assert_eq!(
            mounts(&layout),
            [
                ("/sys/fs/cgroup/systemd", ""),
                ("/sys/fs/cgroup/memory", "process_api/e45a"),
                ("/sys/fs/cgroup/cpu", "")
            ]
        );
        assert_eq!(layout.v2, Some(Unified { mount: "/sys/fs/cgroup/unified".into(), own: "a/b".into() }));
        assert!(layout.unmounted.is_empty());
    }

    #[test]
    fn systemd_host_with_controllers_mounted_together() {
        let mountinfo = "\
25 20 0:22 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:5 - tmpfs tmpfs ro,mode=755
30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:11 - cgroup cgroup rw,cpu,cpuacct
31 25 0:27 / /sys/fs/cgroup/net_cls,net_prio rw,nosuid shared:12 - cgroup cgroup rw,net_cls,net_prio
";
        let cgroup = "5:net_cls,net_prio:/\n4:cpu,cpuacct:/user.slice\n3:devices:/user.slice\n";
        let layout = Layout::parse(mountinfo, cgroup);
        assert_eq!(layout.mode(), Mode::V1);
        assert_eq!(layout.v1[1].controllers, ["cpu", "cpuacct"]);
        assert_eq!(layout.v1[1].mount, "/sys/fs/cgroup/cpu,cpuacct");
        assert_eq!(layout.v1[1].own, "user.slice");
        assert_eq!(layout.unmounted, ["devices"]);
    }

    #[test]
    fn unified_alone_leaves_v1_controllers_unmounted() {
        let layout = Layout::parse("50 23 0:38 / /sys/fs/cgroup rw - cgroup2 none rw\n", CGROUP);
        assert_eq!(layout.mode(), Mode::V2);
        assert_eq!(layout.v2.unwrap().mount, "/sys/fs/cgroup");
        assert_eq!(layout.unmounted, ["name=systemd", "memory", "cpu"]);
    }

    #[test]
    fn mounts_that_others_cover_do_not_count() {
        let over_all = format!("{HYBRID}60 31 0:38 / /sys/fs/cgroup rw - cgroup2 none rw\n");
        let layout = Layout::parse(&over_all, CGROUP);
        assert_eq!(layout.mode(), Mode::V2);
        assert_eq!(layout.v2.unwrap().mount, "/sys/fs/cgroup");

        let over_parent = format!("{HYBRID}60 23 0:50 / /sys/fs rw - tmpfs none rw\n");
        assert_eq!(Layout::parse(&over_parent, CGROUP).mode(), Mode::None);

        let over_one = format!("{HYBRID}60 35 0:50 / /sys/fs/cgroup/memory rw - tmpfs none rw\n");
        assert_eq!(Layout::parse(&over_one, CGROUP).unmounted, ["memory"]);

        let beside = format!("{HYBRID}60 31 0:50 / /sys/fs/cgroup/mem rw - tmpfs none rw\n");
        assert_eq!(Layout::parse(&beside, CGROUP).unmounted, [""; 0]);
    }

    #[test]
    fn part_of_a_hierarchy_is_mounted() {
        let mountinfo = "70 60 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        for (path, own) in [
            ("/docker/abc", ""),
            ("/docker/abc/d/e", "d/e"),
            ("/docker/abcd", ""),
            ("/elsewhere", ""),
            ("/../x", ""),
        ] {
            let layout = Layout::parse(mountinfo, &format!("4:memory:{path}\n"));
            assert_eq!(mounts(&layout), [("/sys/fs/cgroup/memory", own)], "{path}");
        }
        let outside = "70 60 0:32 /.. /mnt rw - cgroup cgroup rw,memory\n";
        assert_eq!(mounts(&Layout::parse(outside, "4:memory:/\n")), [("/mnt", "")]);
    }

    #[test]
    fn the_mount_that_holds_the_caller_goes_first() {
        let mountinfo = "\
70 60 0:32 /docker/abc /var/lib/box/memory rw - cgroup cgroup rw,memory
71 60 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
";
        let layout = Layout::parse(mountinfo, "4:memory:/user\n");
        assert_eq!(mounts(&layout), [("/sys/fs/cgroup/memory", "user")]);
    }

    #[test]
    fn escapes_in_mount_points() {
        let mountinfo =
            "70 60 0:32 /a\\040b /mnt/c\\134d\\011 rw,noprefix - cgroup cgroup rw,cpuset,noprefix\n";
        let layout = Layout::parse(mountinfo, "4:cpuset:/a b/x:y\n");
        assert_eq!(mounts(&layout), [("/mnt/c\\d\t", "x:y")]);
        assert!(layout.v1[0].noprefix);
    }

    proptest::proptest! {
        #[test]
        fn any_text_has_a_layout(mountinfo in "([0-9a-z/,:=. -]{0,30}\n?){0,9}", cgroup in "([0-9a-z/,:=.]{0,9}\n?){0,9}") {
            Layout::parse(&mountinfo, &cgroup);
        }
    }

    #[test]
    fn broken_lines_are_passed_over() {
        let mountinfo = "x\n1 2 3\n70 60 0:1 / /a rw - cgroup\n70 x 0:1 / /a rw - cgroup c rw,memory\n";
        let layout = Layout::parse(mountinfo, "\nx\n4:memory\n::\n4:memory:/\n");
        assert_eq!(layout.mode(), Mode::None);
        assert_eq!(layout.unmounted, ["memory"]);
    }
}
