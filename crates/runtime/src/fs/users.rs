//! The container's `/etc/passwd` and `/etc/group`, read through its root's descriptor by own code: no NSS, no libc.
//!
//! The files are the image's, so anything may be in them: lines that don't parse are passed over, as getpwent(3) does,
//! and a file beyond [`FILE_MAX`] is an error.

use super::resolve::Resolver;
use crate::error::{During, Result};
use crate::faults;
use forgeone_sys::Errno;
use forgeone_sys::fs;
use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStringExt;

/// The largest passwd or group file that is read, in bytes.
pub const FILE_MAX: usize = 10 << 20;

/// A line of passwd(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: OsString,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Home directory; may be empty.
    pub home: OsString,
    /// Program to start; may be empty.
    pub shell: OsString,
}

/// A line of group(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Name.
    pub name: OsString,
    /// Group id.
    pub gid: u32,
    /// Login names of those who are in it beside those whose own group it is.
    pub members: Vec<OsString>,
}

/// The home directory of `uid` as the container in `root` has it; `None` if it doesn't know the user or its home.
///
/// # Errors
/// The kernel's answer, unless it is that there is no passwd file; a passwd file that isn't a regular file or is too
/// large.
pub fn home(root: BorrowedFd, uid: u32) -> Result<Option<OsString>> {
    let users = users(root)?;
    Ok(users.into_iter().find(|user| user.uid == uid).map(|user| user.home).filter(|home| !home.is_empty()))
}

/// All users of the container in `root`.
///
/// # Errors
/// As for [`home`].
pub fn users(root: BorrowedFd) -> Result<Vec<User>> {
    Ok(parse_users(&content(root, "/etc/passwd")?))
}

/// All groups of the container in `root`.
///
/// # Errors
/// As for [`home`].
pub fn groups(root: BorrowedFd) -> Result<Vec<Group>> {
    Ok(parse_groups(&content(root, "/etc/group")?))
}

fn content(root: BorrowedFd, path: &str) -> Result<Vec<u8>> {
    let file = match Resolver::default().read(root, path) {
        Err(e) if matches!(e.errno(), Errno::NOENT | Errno::NOTDIR) => return Ok(Vec::new()),
        result => result.during(|| path)?,
    };
    fs::read_to_end(file, FILE_MAX).during(|| path)
}

/// Reads passwd(5).
pub fn parse_users(content: &[u8]) -> Vec<User> {
    let user = |line: &[u8]| {
        let [name, _, uid, gid, _, home, shell] = fields(line)?;
        Some(User { name: text(name), uid: id(uid)?, gid: id(gid)?, home: text(home), shell: text(shell) })
    };
    content.split(|byte| *byte == b'\n').filter_map(user).collect()
}

/// Reads group(5).
pub fn parse_groups(content: &[u8]) -> Vec<Group> {
    let group = |line: &[u8]| {
        let [name, _, gid, members] = fields(line)?;
        let members = members.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|m| !m.is_empty());
        Some(Group { name: text(name), gid: id(gid)?, members: members.map(text).collect() })
    };
    content.split(|byte| *byte == b'\n').filter_map(group).collect()
}

/// Exactly `N` fields; a line without a name is none, nor is a comment or one of NIS (`+user`).
fn fields<const N: usize>(line: &[u8]) -> Option<[&[u8]; N]> {
    let fields = line.trim_ascii_end().split(|byte| *byte == b':').collect::<Vec<_>>();
    let fields: [&[u8]; N] = fields.try_into().ok()?;
    (!fields[0].is_empty() && !matches!(fields[0][0], b'#' | b'+' | b'-')).then_some(fields)
}

/// A user or group id: digits and nothing else, up to 2³²-2, since -1 means "no change" to the kernel (setresuid(2)).
pub fn id(field: &[u8]) -> Option<u32> {
    let digits = !field.is_empty() && field.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(field).ok().filter(|_| digits)?.parse().ok()?;
    (number != u32::MAX || faults::without("user-range")).then_some(number)
}

/// `UID` or `UID:GID`, as `exec --user` has it.
pub fn ids(text: &str) -> Option<(u32, Option<u32>)> {
    match text.split_once(':') {
        Some((uid, gid)) => Some((id(uid.as_bytes())?, Some(id(gid.as_bytes())?))),
        None => Some((id(text.as_bytes())?, None)),
    }
}

fn text(field: &[u8]) -> OsString {
    OsString::from_vec(field.to_vec())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use forgeone_sys::fs::{Mode, OFlags};
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;

    #[test]
    fn homes_are_the_containers() {
        let temp = testkit::Temp::new("users");
        let root = fs::open(temp.path(), OFlags::PATH, Mode::empty()).unwrap();
        assert_eq!(home(root.as_fd(), 0).unwrap(), None);
        std::fs::create_dir_all(temp.path().join("etc")).unwrap();
        // Not the host's, however it is written.
        let file = temp.path().join("etc/passwd");
        symlink("/etc/../../../../etc/hidden", &file).unwrap();
        assert_eq!(home(root.as_fd(), 0).unwrap(), None);
        std::fs::write(temp.path().join("etc/hidden"), "a:x:0:0::/inside:\nb:x:7:7:::\n").unwrap();
        assert_eq!(home(root.as_fd(), 0).unwrap(), Some("/inside".into()));
        assert_eq!(home(root.as_fd(), 7).unwrap(), None);
        assert_eq!(home(root.as_fd(), 8).unwrap(), None);
        std::fs::write(temp.path().join("etc/hidden"), vec![b'x'; FILE_MAX + 1]).unwrap();
        let e = home(root.as_fd(), 0).unwrap_err().to_string();
        assert!(e.starts_with("/etc/passwd: ") && e.contains("EFBIG"), "{e}");
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        let e = home(root.as_fd(), 0).unwrap_err().to_string();
        assert!(e.starts_with("/etc/passwd: ") && e.contains("not a regular file"), "{e}");
        assert!(groups(root.as_fd()).unwrap().is_empty());
    }

    #[test]
    fn passwd_lines() {
        let all = parse_users(
            b"root:x:0:0:root:/root:/bin/sh\n# comment:x:1:1:::\n+nis:x:2:2:::\nshort:x:3:3\n\
              long:x:4:4:::/bin/sh:more\nneg:x:-1:0:::\nplus:x:+5:0:::\nbig:x:4294967295:0:::\n\
              huge:x:99999999999:0:::\n:x:6:6:::\nblank:x: 7:7:::\nlast:x:4294967294:8::/home/\xff:",
        );
        let seen = all.iter().map(|u| (u.name.to_str().unwrap_or("?"), u.uid, u.gid)).collect::<Vec<_>>();
        assert_eq!(seen, [("root", 0, 0), ("last", 4_294_967_294, 8)]);
        assert_eq!(all[0].home, "/root");
        assert_eq!(all[0].shell, "/bin/sh");
        assert_eq!(all[1].home, text(b"/home/\xff"));
    }

    #[test]
    fn group_lines() {
        let all = parse_groups(b"wheel:x:10:root, alice,,bob\nempty:*:11:\nbad:x:x:\nnone:x:12\n\n");
        let members = ["root", "alice", "bob"].map(OsString::from).to_vec();
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].gid, &all[0].members), (10, &members));
        assert!(all[1].members.is_empty());
    }
}
