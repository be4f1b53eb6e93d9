//! Groups inside a container's, which its own processes make: where `exec --cgroup` puts a process.

use super::paths::Paths;
use crate::error::{Error, Kind, Result};

/// The places that `asked` (`[CONTROLLERS:]PATH`, from the container's group on) make of a container's; and whether
/// that of cgroup2 is among them. As with runc: without controllers it is all hierarchies of v1, or cgroup2 where there
/// are none.
pub(super) fn choose(paths: &Paths, asked: &[String]) -> Result<(Paths, bool)> {
    let (mut chosen, mut v2) = (paths.clone(), false);
    let mut seen: Vec<&str> = Vec::new();
    for group in asked {
        let Some((controllers, path)) = group.split_once(':') else {
            if asked.len() > 1 {
                return Err(wrong(group, "of several, each needs its controllers: CONTROLLERS:PATH"));
            }
            let path = check(group, group)?;
            v2 = paths.v1.is_empty();
            let places = chosen.v1.values_mut().chain(chosen.v2.as_mut().filter(|_| v2));
            places.for_each(|place| append(place, path));
            continue;
        };
        let path = check(group, path)?;
        for controller in controllers.split(',') {
            if seen.contains(&controller) {
                return Err(wrong(group, &format!("controller \"{controller}\" is there twice")));
            }
            seen.push(controller);
            let has = |names: &&String| names.split(',').any(|name| name == controller);
            let Some((names, own)) = paths.v1.iter().find(|(names, _)| has(names)) else {
                return Err(wrong(group, &format!("unknown controller \"{controller}\"")));
            };
            let mut place = own.clone();
            append(&mut place, path);
            chosen.v1.insert(names.clone(), place);
        }
    }
    Ok((chosen, v2))
}

/// A path that doesn't lead out of the container's group.
fn check<'a>(group: &str, path: &'a str) -> Result<&'a str> {
    if path.split('/').any(|part| part == "..") || path.contains('\0') {
        return Err(wrong(group, "bad sub cgroup path: it has to stay inside the container's group"));
    }
    Ok(path)
}

fn append(place: &mut String, path: &str) {
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    parts.for_each(|part| place.extend(["/", part]));
}

fn wrong(group: &str, cause: &str) -> Error {
    Error::new(Kind::Usage, format!("--cgroup {group:?}: {cause}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn v1() -> Paths {
        let place = |names: &str| (names.to_owned(), format!("/c/{names}/box"));
        let v1 = BTreeMap::from(["cpu,cpuacct", "memory", "name=systemd"].map(place));
        Paths { v1, v2: Some("/c/unified/box".into()), ..Paths::default() }
    }

    fn asked(groups: &[&str]) -> Vec<String> {
        groups.iter().map(|group| (*group).to_owned()).collect()
    }

    #[test]
    fn places_are_chosen_by_controller() {
        let chosen = |groups: &[&str]| {
            let (paths, v2) = choose(&v1(), &asked(groups)).unwrap();
            assert!(!v2 && paths.v2 == v1().v2, "cgroup2 beside v1 has no controllers");
            paths.v1.into_values().map(|path| path.replace("/c/", "")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(chosen(&["sub"]), "cpu,cpuacct/box/sub memory/box/sub name=systemd/box/sub");
        assert_eq!(chosen(&["/"]), "cpu,cpuacct/box memory/box name=systemd/box");
        assert_eq!(chosen(&["memory:a/b/"]), "cpu,cpuacct/box memory/box/a/b name=systemd/box");
        assert_eq!(
            chosen(&["memory:a", "cpu,cpuacct:./b"]),
            "cpu,cpuacct/box/b memory/box/a name=systemd/box"
        );
    }

    #[test]
    fn cgroup2_alone_has_one_place() {
        let alone = Paths { v2: Some("/c/box".into()), ..Paths::default() };
        let (paths, v2) = choose(&alone, &asked(&["sub/group"])).unwrap();
        assert_eq!((paths.v2.as_deref(), v2), (Some("/c/box/sub/group"), true));
        let error = choose(&alone, &asked(&["memory:sub"])).unwrap_err().to_string();
        assert_eq!(error, "--cgroup \"memory:sub\": unknown controller \"memory\"");
    }

    #[test]
    fn what_names_no_group_inside_is_refused() {
        for (groups, cause) in [
            (vec![".."], "bad sub cgroup path"),
            (vec!["memory:a/../../b"], "bad sub cgroup path"),
            (vec!["a\0"], "bad sub cgroup path"),
            (vec!["whaaat:/"], "unknown controller \"whaaat\""),
            (vec![":a"], "unknown controller \"\""),
            (vec!["memory,:a"], "unknown controller \"\""),
            (vec!["memory:a", "memory:b"], "is there twice"),
            (vec!["a", "memory:b"], "needs its controllers"),
        ] {
            let error = choose(&v1(), &asked(&groups)).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.to_string().contains(cause), "{error}");
        }
    }
}
