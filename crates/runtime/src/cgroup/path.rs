//! Which group a container gets: `linux.cgroupsPath` made into a path below a hierarchy's mount.
//!
//! As runc's cgroupfs driver has it: an absolute path counts from the top of every hierarchy; a relative one (or,
//! without any, the container's id) from the caller's own group on v1, and from the parent of the caller's group on
//! cgroup2, since a group that has processes can't pass controllers on.

use crate::error::{Error, Kind, Result};

/// `path` without empty, `.` and `..` parts and without a slash at either end; `..` stops at the top.
pub(super) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// What the container's groups are called, and from where that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// Clean, not empty.
    name: String,
    absolute: bool,
}

impl Name {
    /// The name that `cgroups_path` asks for, or the container's id if it is empty.
    pub(super) fn new(id: &str, cgroups_path: &str) -> Result<Self> {
        let asked = if cgroups_path.is_empty() { id } else { cgroups_path };
        let refuse = |why: &str| {
            let message = format!("linux.cgroupsPath: {asked:?} {why}");
            Err(Error::new(Kind::Config, message))
        };
        if asked.chars().any(char::is_control) {
            return refuse("has control characters");
        }
        let name = clean(asked);
        if name.is_empty() {
            return refuse("names no group of the container's own");
        }
        Ok(Self { name, absolute: cgroups_path.starts_with('/') })
    }

    /// The name of this group below every mount.
    pub(super) fn exact(group: String) -> Self {
        Self { name: group, absolute: true }
    }

    /// The group below a v1 mount; `own` is the caller's group there.
    pub(super) fn in_v1(&self, own: &str) -> String {
        if self.absolute { self.name.clone() } else { join(own, &self.name) }
    }

    /// The group below the cgroup2 mount; `own` is the caller's group there.
    pub(super) fn in_v2(&self, own: &str) -> String {
        let parent = own.rsplit_once('/').map_or("", |(parent, _)| parent);
        if self.absolute { self.name.clone() } else { join(parent, &self.name) }
    }
}

/// `dir/name`, or `name` where `dir` is empty.
pub(super) fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_and_stay_inside() {
        for (path, cleaned) in [
            ("", ""),
            ("/", ""),
            ("/a/b", "a/b"),
            ("a//b/", "a/b"),
            ("./a/./b", "a/b"),
            ("a/../b", "b"),
            ("/../../etc", "etc"),
            ("../../a/../../b", "b"),
            ("...", "..."),
        ] {
            assert_eq!(clean(path), cleaned, "{path}");
        }
    }

    #[test]
    fn where_the_group_is() {
        for (cgroups_path, own, v1, v2) in [
            ("", "user/session", "user/session/c1", "user/c1"),
            ("", "", "c1", "c1"),
            ("", "session", "session/c1", "c1"),
            ("/docker/abc", "user/session", "docker/abc", "docker/abc"),
            ("pod/abc", "user/session", "user/session/pod/abc", "user/pod/abc"),
            ("../../abc", "user/session", "user/session/abc", "user/abc"),
            ("/../abc/", "x", "abc", "abc"),
        ] {
            let name = Name::new("c1", cgroups_path).unwrap();
            assert_eq!((name.in_v1(own), name.in_v2(own)), (v1.into(), v2.into()), "{cgroups_path} {own}");
        }
    }

    #[test]
    fn paths_that_name_no_group_are_refused() {
        for path in ["/", "..", "/a/..", "./", "a\nb", "/a\0"] {
            let error = Name::new("c1", path).unwrap_err();
            assert_eq!(error.kind(), Kind::Config);
            assert!(error.to_string().starts_with("linux.cgroupsPath: "), "{error}");
        }
    }
}
