//! `linux.intelRdt`: a share of caches and memory bandwidth, by directories of the resctrl file system.
//!
//! ```text
//! <mount>/                              the default class of service, closID "/"
//!   info/last_cmd_status                why the kernel refused something
//!   <closID, or the container's id>/    a class: schemata (its share), tasks (who is in it)
//!     mon_groups/<id>/                  with enableMonitoring: tasks
//! ```
//!
//! What will be made is found out before, and recorded; of that, all is removed when the container is deleted, and
//! nothing else. A class that the config names stays: others may be in it (config-linux.md, "IntelRdt").

use crate::error::{During, Error, Kind, Result};
use crate::mountinfo::unescape;
use crate::object;
use crate::spec::IntelRdt;
use forgeone_sys::fs::{self, AtFlags, CWD};
use forgeone_sys::{Errno, Error as SysError, Result as SysResult};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The container's id.
    id: String,
    /// The class; empty for one of the container's own.
    class: String,
    /// Lines for `schemata`, in the order in which they are written.
    schemata: Vec<String>,
    /// Whether the container gets a monitoring group.
    monitoring: bool,
}

object! {
    /// Where a container is in resctrl; all empty if it isn't.
    pub struct Paths {
        /// The directory of its class.
        pub group: String = "group",
        /// The directory of its monitoring group; empty for none.
        pub monitor: String = "monitor",
        /// Those that are made for it, in their order.
        pub made: Vec<String> = "made",
    }
}

/// The kernel's own names in a class.
const RESERVED: [&str; 3] = ["info", "mon_data", "mon_groups"];

/// The longest file of resctrl that is read, in bytes.
const FILE_MAX: usize = 64 << 10;

/// Plans what `wanted` asks for the container `id`.
///
/// # Errors
/// [`Kind::Config`], naming the field.
pub fn plan(id: &str, wanted: &IntelRdt) -> Result<Plan> {
    let wrong =
        |field: &str, cause: String| Error::new(Kind::Config, format!("linux.intelRdt.{field}: {cause}"));
    let class = wanted.clos_id.as_str();
    let odd = class.contains(['/', '\n', '\0']) || matches!(class, "." | "..") || RESERVED.contains(&class);
    if odd && class != "/" {
        return Err(wrong("closID", format!("{class:?}: is not the name of a class")));
    }
    let bandwidth = wanted.mem_bw_schema.as_str();
    if !bandwidth.is_empty() && !bandwidth.starts_with("MB:") {
        return Err(wrong("memBwSchema", format!("{bandwidth:?}: must start with \"MB:\"")));
    }
    let single = [
        ("l3CacheSchema".to_owned(), &wanted.l3_cache_schema),
        ("memBwSchema".to_owned(), &wanted.mem_bw_schema),
    ];
    let single = single.into_iter().filter(|(_, line)| !line.is_empty());
    let several = wanted.schemata.iter().enumerate().map(|(i, line)| (format!("schemata[{i}]"), line));
    let mut schemata = Vec::new();
    for (field, line) in single.chain(several) {
        check_line(line).map_err(|e| e.during(format_args!("linux.intelRdt.{field}")))?;
        schemata.push(line.clone());
    }
    Ok(Plan { id: id.to_owned(), class: class.to_owned(), schemata, monitoring: wanted.enable_monitoring })
}

fn check_line(line: &str) -> Result<()> {
    match line.contains(['\n', '\0']) || !line.contains(':') {
        true => Err(Error::new(Kind::Config, format!("{line:?}: is not a line of schemata"))),
        false => Ok(()),
    }
}

/// Finds out where the container will be, and what has to be made for it. `mountinfo` is what the kernel says of the
/// runtime's mounts.
///
/// # Errors
/// [`Kind::Unsupported`] if resctrl isn't mounted, [`Kind::Config`] for a class that has to be there and isn't.
pub fn survey(plan: &Plan, mountinfo: &[u8]) -> Result<Paths> {
    let message = "linux.intelRdt: resctrl isn't mounted; where kernel and processor have it: mount -t resctrl resctrl /sys/fs/resctrl";
    let root = mount_point(mountinfo).ok_or_else(|| Error::new(Kind::Unsupported, message))?;
    survey_in(plan, &root)
}

fn survey_in(plan: &Plan, root: &Path) -> Result<Paths> {
    let group = match plan.class.as_str() {
        "/" => root.to_owned(),
        "" => root.join(&plan.id),
        class => root.join(class),
    };
    let mut paths = Paths { group: group.display().to_string(), ..Paths::default() };
    if !is_there(&group)? {
        if !plan.class.is_empty() && plan.schemata.is_empty() {
            let message =
                format!("linux.intelRdt.closID: {:?}: there is no such class, and no schemata", plan.class);
            return Err(Error::new(Kind::Config, message));
        }
        paths.made.push(paths.group.clone());
    }
    if plan.monitoring {
        let monitor = group.join("mon_groups").join(&plan.id);
        paths.monitor = monitor.display().to_string();
        if !is_there(&monitor)? {
            paths.made.push(paths.monitor.clone());
        }
    }
    Ok(paths)
}

/// proc_pid_mountinfo(5): the first mount of a whole resctrl.
fn mount_point(mountinfo: &[u8]) -> Option<PathBuf> {
    let text = std::str::from_utf8(mountinfo).ok()?;
    let line = text.lines().find(|line| line.contains(" - resctrl "))?;
    line.split(' ').nth(4).map(|point| OsString::from_vec(unescape(point.as_bytes())).into())
}

fn is_there(path: &Path) -> Result<bool> {
    match fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Err(e) if e.errno() == Errno::NOENT => Ok(false),
        found => found.map(|_| true).during(|| "linux.intelRdt"),
    }
}

/// Makes what is to be made, and gives the class its share; one that the config names and that was there has to have it.
///
/// # Errors
/// The kernel's answer with its own reason; [`Kind::Config`] for a class with another share. What was made stays, for
/// [`remove`].
pub fn make(plan: &Plan, paths: &Paths) -> Result<()> {
    let (group, fresh) = (Path::new(&paths.group), paths.made.contains(&paths.group));
    for made in &paths.made {
        explained(group, fs::mkdirat(CWD, made.as_str(), 0o755))?;
        if *made == paths.group {
            write_schemata(plan, group)?;
        }
    }
    match (fresh, plan.class.is_empty()) {
        (true, _) => Ok(()),
        (false, true) => write_schemata(plan, group),
        (false, false) => compare(plan, group),
    }
}

fn write_schemata(plan: &Plan, group: &Path) -> Result<()> {
    // A line for each write: the kernel takes a resource only once in one.
    plan.schemata.iter().try_for_each(|line| write_line(group, line))
}

fn write_line(group: &Path, line: &str) -> Result<()> {
    let written = fs::write_file_at(CWD, group.join("schemata"), format!("{line}\n").as_bytes());
    explained(group, written).during(|| format!("schemata {line:?}"))
}

/// A class whose share was changed: its directory, and the lines to put back.
#[derive(Debug, Default)]
#[must_use]
pub struct Changed(Vec<(PathBuf, String)>);

impl Changed {
    /// Puts the share back as it was, because of `cause`; all that failed.
    pub fn taken_back(self, cause: Error) -> Error {
        let back = self.0.iter().rev().filter_map(|(group, line)| write_line(group, line).err());
        Error::all(std::iter::once(cause.clone()).chain(back).collect()).unwrap_or(cause)
    }
}

/// Gives the container's class other shares: each with what asks for it, for messages, and the name of the resource. A
/// class that the config names changes for all that are in it.
///
/// # Errors
/// [`Kind::Config`] for what isn't a line for the resource, or for one that the class hasn't got; the kernel's answer with
/// its own reason. Nothing is changed then.
pub fn change(paths: &Paths, lines: &[(&str, &str, &str)]) -> Result<Changed> {
    let group = Path::new(&paths.group);
    let mut changed = Changed::default();
    if lines.is_empty() {
        return Ok(changed);
    }
    let text = fs::read_file_at(CWD, group.join("schemata"), FILE_MAX).during(|| "linux.intelRdt")?;
    let text = String::from_utf8_lossy(&text);
    let resource = |line: &str| line.split(':').next().unwrap_or_default().trim().to_owned();
    let mut before = Vec::new();
    for (field, name, line) in lines {
        check_line(line).map_err(|e| e.during(field))?;
        let there = text.lines().map(str::trim).find(|there| resource(there) == resource(line));
        match there.filter(|there| there.starts_with(name)) {
            Some(there) => before.push((group.to_owned(), there.to_owned())),
            None => {
                let there = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
                let cause = format!("{field}: {line:?}: is no share of {name}; the class has {there:?}");
                return Err(Error::new(Kind::Config, cause));
            }
        }
    }
    for ((field, _, line), before) in lines.iter().zip(before) {
        if let Err(e) = write_line(group, line) {
            return Err(changed.taken_back(e.during(field)));
        }
        changed.0.push(before);
    }
    Ok(changed)
}

fn compare(plan: &Plan, group: &Path) -> Result<()> {
    if plan.schemata.is_empty() {
        return Ok(());
    }
    let text = fs::read_file_at(CWD, group.join("schemata"), FILE_MAX).during(|| "linux.intelRdt")?;
    let text = String::from_utf8_lossy(&text);
    match plan.schemata.iter().find(|line| !has_share(&text, line)) {
        None => Ok(()),
        Some(line) => {
            let there = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
            let message =
                format!("linux.intelRdt: class {:?} exists and has {there:?}, not {line:?}", plan.class);
            Err(Error::new(Kind::Config, message))
        }
    }
}

/// Whether `schemata` has what a line asks for: the kernel pads names and numbers, and lists all domains.
fn has_share(schemata: &str, line: &str) -> bool {
    let Some((resource, wanted)) = line.split_once(':') else { return false };
    let of = |line: &&str| line.split_once(':').is_some_and(|(name, _)| name.trim() == resource.trim());
    let Some((_, there)) = schemata.lines().find(of).and_then(|line| line.split_once(':')) else {
        return false;
    };
    let domains = |text: &str| -> Vec<(String, String)> {
        let number = |text: &str| text.trim().trim_start_matches('0').to_ascii_lowercase();
        let pairs = text.split(';').filter_map(|domain| domain.split_once('='));
        pairs.map(|(domain, share)| (number(domain), number(share))).collect()
    };
    let there = domains(there);
    domains(wanted).iter().all(|domain| there.contains(domain))
}

/// Puts a process into the container's groups. That they are gone is no error: the kernel has put all that was in them
/// into the default class.
///
/// # Errors
/// The kernel's answer with its own reason.
pub fn enter(paths: &Paths, pid: i32) -> Result<()> {
    for group in [&paths.group, &paths.monitor].into_iter().filter(|group| !group.is_empty()) {
        let written = fs::write_file_at(CWD, Path::new(group).join("tasks"), pid.to_string().as_bytes());
        match written {
            Err(e) if e.errno() == Errno::NOENT && !is_there(Path::new(group))? => {}
            written => explained(Path::new(&paths.group), written)?,
        }
    }
    Ok(())
}

/// Removes what was made for the container.
///
/// # Errors
/// All that failed, together.
pub fn remove(paths: &Paths) -> Result<()> {
    let remove = |made: &String| match fs::unlinkat(CWD, made.as_str(), AtFlags::REMOVEDIR) {
        Err(e) if e.errno() == Errno::NOENT => None,
        removed => removed.during(|| "linux.intelRdt").err(),
    };
    // A class takes its monitoring groups with it.
    let errors = paths.made.iter().filter_map(remove).collect();
    Error::all(errors).map_or(Ok(()), Err)
}

/// Adds what the kernel says of the last thing that it refused; the status is at the top, above all groups.
fn explained(group: &Path, result: SysResult<()>) -> Result<()> {
    let explained = result.map_err(|e| {
        let status = group.ancestors().take(2).find_map(|dir| {
            let text = fs::read_file_at(CWD, dir.join("info/last_cmd_status"), FILE_MAX).ok()?;
            Some(String::from_utf8_lossy(&text).trim().to_owned())
        });
        match status.filter(|status| !status.is_empty() && status != "ok") {
            Some(status) => SysError::new(format!("{}: {status}", e.call()), e.errno()),
            None => e,
        }
    });
    explained.during(|| "linux.intelRdt")
}

/// The place in a mount table.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn fuzz(mountinfo: &[u8]) -> Option<PathBuf> {
    mount_point(mountinfo)
}

#[cfg(test)]
mod tests;
