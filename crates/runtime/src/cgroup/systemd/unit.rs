//! Which unit a container gets: `linux.cgroupsPath` as `slice:prefix:name`, and where its group is.
//!
//! As runc's systemd driver has it: the unit is `prefix-name.scope`, in `system.slice` if no slice is named, or in
//! `user.slice` where the user's own systemd makes it; without a path it is `forgeone-ID.scope`. In a slice's name `-`
//! leads to the slice inside: `a-b.slice` is `a.slice/a-b.slice` (systemd.slice(5)).

use crate::cgroup::path::join;
use crate::cgroup::step::refuse;
use crate::error::Result;

/// The longest name of a unit (`UNIT_NAME_MAX` of systemd, without the NUL at its end).
const NAME_MAX: usize = 255;

/// A unit's name and place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// `kubepods-besteffort.slice`; `-.slice` is the top.
    pub slice: String,
    /// `cri-containerd-ID.scope`.
    pub unit: String,
}

impl Name {
    /// The unit that `cgroups_path` asks for.
    pub(super) fn new(id: &str, cgroups_path: &str, user: bool) -> Result<Self> {
        let own = format!(":forgeone:{id}");
        let path = if cgroups_path.is_empty() { own.as_str() } else { cgroups_path };
        let parts: Vec<&str> = path.split(':').collect();
        let &[slice, prefix, name] = parts.as_slice() else {
            let why = format_args!("{path:?} is not slice:prefix:name, which --systemd-cgroup needs");
            return refuse("linux.cgroupsPath", why);
        };
        let slice = match slice {
            "" if user => "user.slice",
            "" => "system.slice",
            "-" => "-.slice",
            slice => slice,
        };
        let unit = format!("{prefix}-{name}.scope");
        let allowed = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
        if name.is_empty() || name.ends_with(".slice") || unit.len() > NAME_MAX || !unit.chars().all(allowed)
        {
            let why = format_args!("{unit:?} can't be the name of a container's scope");
            return refuse("linux.cgroupsPath", why);
        }
        let name = Self { slice: slice.to_owned(), unit };
        name.levels().map(|_| name.clone())
    }

    /// The slice's levels, as a path.
    fn levels(&self) -> Result<String> {
        let wrong = || refuse("linux.cgroupsPath", format_args!("{:?} is not a slice", self.slice));
        let Some(name) = self.slice.strip_suffix(".slice") else { return wrong() };
        if name == "-" {
            return Ok(String::new());
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || ":_.\\@".contains(c);
        let mut path = String::new();
        let mut end = 0;
        for part in name.split('-') {
            if part.is_empty() || !part.chars().all(allowed) {
                return wrong();
            }
            end += part.len();
            path = join(&path, &format!("{}.slice", &name[..end]));
            end += 1;
        }
        Ok(path)
    }

    /// The unit's group below a hierarchy's mount; `top` is the group of the systemd that makes it.
    pub(super) fn group(&self, top: &str) -> Result<String> {
        Ok(join(&join(top.trim_matches('/'), &self.levels()?), &self.unit))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn units_and_their_groups() {
        let user = "/user.slice/user-1000.slice/user@1000.service";
        for (path, top, slice, group) in [
            ("", "/", "system.slice", "system.slice/forgeone-c1.scope"),
            ("", user, "user.slice", &format!("{}/user.slice/forgeone-c1.scope", &user[1..])),
            (":docker:abc", "/", "system.slice", "system.slice/docker-abc.scope"),
            ("-:a:b", "/", "-.slice", "a-b.scope"),
            ("-.slice:a:b", "/", "-.slice", "a-b.scope"),
            ("a-b.slice:libpod:x", "/", "a-b.slice", "a.slice/a-b.slice/libpod-x.scope"),
            (
                "kubepods-besteffort-pod1_2.slice:cri-containerd:ID",
                "/",
                "kubepods-besteffort-pod1_2.slice",
                "kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1_2.slice/cri-containerd-ID.scope",
            ),
            ("a.slice::x", "/", "a.slice", "a.slice/-x.scope"),
        ] {
            let name = Name::new("c1", path, top != "/").unwrap();
            assert_eq!((&*name.slice, name.group(top).unwrap()), (slice, group.to_owned()), "{path}");
        }
    }

    #[test]
    fn what_is_no_unit_is_refused() {
        let long = format!("a.slice:b:{}", "x".repeat(255));
        for path in [
            "/a/b",
            "a",
            "a:b",
            "a:b:c:d",
            "a:b:c",
            "a/b.slice:c:d",
            "a--b.slice:c:d",
            "-a.slice:c:d",
            ".slice:c:d",
            "a.slice:c:",
            "a.slice:c:d.slice",
            "a.slice:c:d/e",
            "a.slice:c:d e",
            "a.slice:c:d\n",
            "a\n.slice:c:d",
            &long,
        ] {
            let error = Name::new("c1", path, false).unwrap_err();
            assert_eq!(error.kind(), Kind::Config);
            assert!(error.to_string().starts_with("linux.cgroupsPath: "), "{error}");
        }
    }
}
