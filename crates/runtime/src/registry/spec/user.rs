//! Who the program runs as: numbers for the names of the container's own passwd and group.

use crate::error::{Error, Kind, Result};
use crate::fs::users::{self, Group, id};
use std::ffi::OsStr;
use std::os::fd::BorrowedFd;

/// Numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
}

/// `USER[:GROUP]` and further groups, names or numbers, looked up in the root file system. By Docker's rules: a user that
/// passwd knows has its group, and unless a group is named all groups that it is a member of; a number that it doesn't
/// know has group 0.
///
/// # Errors
/// A name that the container doesn't know.
pub fn resolve(root: BorrowedFd, text: &str, further: &[String]) -> Result<User> {
    let (name, group) = text.split_once(':').map_or((text, None), |(name, group)| (name, Some(group)));
    let number = id(name.as_bytes());
    // Numbers alone ask nothing of the container's files.
    if let (Some(uid), Some(gid), []) = (number, group.and_then(|group| id(group.as_bytes())), further) {
        return Ok(User { uid, gid, groups: Vec::new() });
    }
    let (all, groups) = (users::users(root)?, users::groups(root)?);
    let name = if name.is_empty() { "0" } else { name };
    let number = id(name.as_bytes());
    let known = all.iter().find(|user| user.name == OsStr::new(name) || number == Some(user.uid));
    let uid =
        known.map(|user| user.uid).or(number).ok_or_else(|| missing("user", "user", name, "/etc/passwd"))?;
    let mut user = User { uid, gid: known.map_or(0, |user| user.gid), groups: Vec::new() };
    match group.filter(|group| !group.is_empty()) {
        Some(group) => user.gid = number_of(&groups, "user", group)?,
        None => {
            let member = |group: &&Group| known.is_some_and(|user| group.members.contains(&user.name));
            user.groups.extend(groups.iter().filter(member).map(|group| group.gid));
        }
    }
    for group in further {
        user.groups.push(number_of(&groups, "group_add", group)?);
    }
    let mut seen = vec![];
    user.groups.retain(|gid| {
        !seen.contains(gid) && {
            seen.push(*gid);
            true
        }
    });
    Ok(user)
}

fn number_of(groups: &[Group], field: &str, name: &str) -> Result<u32> {
    let known = groups.iter().find(|group| group.name == OsStr::new(name)).map(|group| group.gid);
    known.or_else(|| id(name.as_bytes())).ok_or_else(|| missing(field, "group", name, "/etc/group"))
}

fn missing(field: &str, what: &str, name: &str, file: &str) -> Error {
    let message = format!(
        "{field}: the container has no {what} {name:?}; its {file} lists them, and a number always works"
    );
    Error::new(Kind::Config, message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use forgeone_sys::fs::{self, Mode, OFlags};
    use std::os::fd::AsFd;

    #[test]
    fn users_and_groups_are_the_containers() {
        let temp = testkit::Temp::new("user");
        let root = fs::open(temp.path(), OFlags::PATH, Mode::empty()).unwrap();
        let found = |text: &str, further: &[&str]| {
            let further: Vec<String> = further.iter().map(|group| (*group).to_owned()).collect();
            resolve(root.as_fd(), text, &further)
        };
        let user = |uid, gid, groups: &[u32]| User { uid, gid, groups: groups.to_vec() };
        // Without the files numbers work, and names don't.
        assert_eq!(found("7:8", &["9"]).unwrap(), user(7, 8, &[9]));
        assert_eq!(found("", &[]).unwrap(), user(0, 0, &[]));
        assert!(found("www", &[]).is_err());
        std::fs::create_dir(temp.path().join("etc")).unwrap();
        std::fs::write(temp.path().join("etc/passwd"), "root:x:0:0:::\nwww:x:33:34::/w:\n9:x:77:77:::\n")
            .unwrap();
        std::fs::write(temp.path().join("etc/group"), "www:x:34:\nlog:x:4:www,root\nmail:x:8:\n").unwrap();
        let table: &[(&str, &[&str], User)] = &[
            ("www", &[], user(33, 34, &[4])),
            ("33", &[], user(33, 34, &[4])),
            ("www:mail", &[], user(33, 8, &[])),
            ("www:5", &["log", "mail", "log", "6"], user(33, 5, &[4, 8, 6])),
            ("1000", &[], user(1000, 0, &[])),
            ("1000:mail", &[], user(1000, 8, &[])),
            ("9", &[], user(77, 77, &[])),
        ];
        for (text, further, expected) in table {
            assert_eq!(found(text, further).unwrap(), *expected, "{text}");
        }
        for (text, further, expected) in [
            ("nobody", &[][..], "user: the container has no user \"nobody\""),
            ("www:nobody", &[], "user: the container has no group \"nobody\""),
            ("www", &["nobody"], "group_add: the container has no group \"nobody\""),
            ("-1", &[], "user: the container has no user \"-1\""),
        ] {
            let error = found(text, further).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
