//! The leak detector: what a test leaves on the machine.
//!
//! A snapshot is a set of lines, one a thing; what is in the later and not in the earlier one is a leak.
//! Other programs work on the same machine meanwhile, other tests too, so only things are looked at that
//! carry a mark: the names of this test process ([`names::process_prefix`]), or of all that this process has
//! started when it is the suite runner ([`Leaks::whole_suite`]).
//!
//! | thing | bears the mark in |
//! |---|---|
//! | mount of this mount namespace | its root, mount point, source or options |
//! | cgroup, in each mounted hierarchy | its path |
//! | process | its environment, arguments, cgroup or mounts; or it descends from this process |
//! | network interface, nft table | its name, which begins with `fo-` or contains `forgeone` |
//! | loop device | its file's path |
//! | file | its name in `/run/forgeone`; in a directory given by the test every name counts |

use crate::{names, privileged, temp};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long the kernel may take to finish what was removed: killed processes, cgroups of the dying.
const GRACE: Duration = Duration::from_secs(30);

/// Stands in front of what is told of a thing but doesn't make it another.
const MAY_CHANGE: &str = ": ";

/// What was there before.
#[derive(Debug)]
pub struct Leaks {
    mark: Mark,
    directories: Vec<PathBuf>,
    /// Whether temporary files count: a test has its own until its end.
    temporary: bool,
    before: BTreeSet<String>,
}

/// Whose things count: text belongs to them that contains one of these.
#[derive(Debug)]
struct Mark(Vec<String>);

impl Mark {
    fn of_this_process() -> Self {
        Self(vec![names::process_prefix()])
    }

    /// Names of the suite runner itself, and of the tests that it tells its process id.
    fn of_this_suite() -> Self {
        let own = format!("{}{}", names::PREFIX, std::process::id());
        Self(vec![format!("{own}-"), format!("{own}.")])
    }

    fn is_on(&self, text: &str) -> bool {
        self.0.iter().any(|part| text.contains(part))
    }
}

impl Leaks {
    /// Looks at the machine before a test; only what this process names will count.
    pub fn before() -> Self {
        Self::of(Mark::of_this_process(), Vec::new(), false)
    }

    /// The same, and all that appears in these directories counts too, whatever its name.
    pub fn before_in<P: Into<PathBuf>>(directories: impl IntoIterator<Item = P>) -> Self {
        Self::of(Mark::of_this_process(), directories.into_iter().map(Into::into).collect(), false)
    }

    /// Looks at the machine before the whole suite: what any of its tests names will count, temporary files too.
    pub fn whole_suite() -> Self {
        Self::of(Mark::of_this_suite(), Vec::new(), true)
    }

    fn of(mark: Mark, directories: Vec<PathBuf>, temporary: bool) -> Self {
        let mut leaks = Self { mark, directories, temporary, before: BTreeSet::new() };
        leaks.before = leaks.now();
        leaks
    }

    /// What is there at this moment and was not before, be it about to go.
    pub fn found(&self) -> Vec<String> {
        let key = |line: &str| line.split(MAY_CHANGE).next().unwrap_or_default().to_owned();
        let before: BTreeSet<_> = self.before.iter().map(|line| key(line)).collect();
        self.now().into_iter().filter(|line| !before.contains(&key(line))).collect()
    }

    /// What is there and was not before, after half a minute of grace at most.
    pub fn left(&self) -> Vec<String> {
        let start = Instant::now();
        loop {
            let left = self.found();
            if left.is_empty() || start.elapsed() > GRACE {
                return left;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Panics with all that was left, one thing a line.
    #[track_caller]
    pub fn assert_none(&self) {
        let left = self.left();
        assert!(left.is_empty(), "left behind:\n  {}", left.join("\n  "));
    }

    fn now(&self) -> BTreeSet<String> {
        let mark = &self.mark;
        let mut found: BTreeSet<_> = mounts(mark).into_iter().collect();
        found.extend(cgroups(mark));
        found.extend(processes(mark));
        found.extend(interfaces());
        found.extend(tables());
        found.extend(loop_devices(mark));
        found.extend(files(Path::new("/run/forgeone"), |name| mark.is_on(name)));
        if self.temporary {
            found.extend(files(&std::env::temp_dir(), |name| mark.is_on(name)));
        }
        found.extend(self.directories.iter().flat_map(|directory| files(directory, |_| true)));
        found
    }
}

fn mounts(mark: &Mark) -> Vec<String> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let ours = mountinfo.lines().filter(|line| mark.is_on(&temp::unescape(line)));
    ours.map(|line| format!("mount {}", temp::unescape(line))).collect()
}

fn cgroups(mark: &Mark) -> Vec<String> {
    let mut found = Vec::new();
    for root in cgroup_roots() {
        directories_below(&root, &mut |path| {
            let path = path.to_string_lossy();
            if mark.is_on(&path) {
                found.push(format!("cgroup {path}"));
            }
        });
    }
    found
}

/// Mount points of all cgroup hierarchies, v1 and v2.
fn cgroup_roots() -> Vec<PathBuf> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let is_cgroup = |line: &&str| line.contains(" - cgroup cgroup") || line.contains(" - cgroup2 ");
    let points = mountinfo.lines().filter(is_cgroup).filter_map(|line| line.split(' ').nth(4));
    points.map(|point| PathBuf::from(temp::unescape(point))).collect()
}

fn directories_below(path: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            visit(&entry.path());
            directories_below(&entry.path(), visit);
        }
    }
}

/// A process of `/proc`: what its `stat` line says.
struct Process {
    pid: u32,
    parent: u32,
    comm: String,
    state: char,
    start: u64,
}

/// Dead orphans don't count: the machine's init, or who has taken its place (a subreaper), reaps them when it comes
/// round, or never.
fn processes(mark: &Mark) -> Vec<String> {
    let all = all_processes();
    let theirs = |process: &Process| process.parent == 1 || !descends(process.pid, &all);
    let count = all.values().filter(|process| !(process.state == 'Z' && theirs(process)));
    let ours = count.filter(|process| descends(process.pid, &all) || bears(process.pid, mark));
    // What may change while it lives (name, state) comes last and is not compared.
    let show =
        |p: &Process| format!("process {} started {}{MAY_CHANGE}{} {}", p.pid, p.start, p.comm, p.state);
    ours.map(show).collect()
}

fn all_processes() -> BTreeMap<u32, Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| {
        Some((pid, parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?))
    })
    .collect()
}

/// Reads `pid (comm) state ppid … starttime …`, proc_pid_stat(5); comm may hold blanks and parentheses.
fn parse_stat(stat: &str) -> Option<Process> {
    let (pid, rest) = stat.split_once(" (")?;
    let (comm, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<_> = rest.split_whitespace().collect();
    Some(Process {
        pid: pid.parse().ok()?,
        parent: fields.get(1)?.parse().ok()?,
        comm: comm.to_owned(),
        state: fields.first()?.chars().next()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

/// Whether this process is among the ancestors.
fn descends(pid: u32, all: &BTreeMap<u32, Process>) -> bool {
    let parents = std::iter::successors(all.get(&pid), |process| all.get(&process.parent));
    parents.skip(1).take(all.len()).any(|process| process.pid == std::process::id())
}

fn bears(pid: u32, mark: &Mark) -> bool {
    let names_it = |file: &str| {
        let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        mark.is_on(&String::from_utf8_lossy(&bytes))
    };
    ["cmdline", "environ", "cgroup", "mountinfo"].into_iter().any(names_it)
}

fn is_our_name(name: &str) -> bool {
    name.starts_with("fo-") || name.contains("forgeone")
}

fn interfaces() -> Vec<String> {
    let entries = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| is_our_name(name)).map(|name| format!("interface {name}")).collect()
}

fn tables() -> Vec<String> {
    let Some(nft) = privileged::find_program("nft") else { return Vec::new() };
    let listed = Command::new(nft).args(["list", "tables"]).stdin(Stdio::null()).output();
    let text = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().filter(|line| is_our_name(line)).map(|line| format!("nft {line}")).collect()
}

fn loop_devices(mark: &Mark) -> Vec<String> {
    let mut found = Vec::new();
    for device in fs::read_dir("/sys/block").into_iter().flatten().flatten() {
        let file = fs::read_to_string(device.path().join("loop/backing_file")).unwrap_or_default();
        if mark.is_on(&file) {
            found.push(format!("loop device {} of {}", device.file_name().display(), file.trim()));
        }
    }
    found
}

fn files(directory: &Path, counts: impl Fn(&str) -> bool) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| counts(&entry.file_name().to_string_lossy()));
    ours.map(|entry| format!("file {}", entry.path().display())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines_are_read_whatever_the_command_is_called() {
        let stat = "7 (a) b (c) Z 3 7 7 0 -1 4 0 0 0 0 1 2 0 0 20 0 1 0 4242 0 0 0";
        let process = parse_stat(stat).unwrap();
        assert_eq!((process.pid, process.parent, process.state, process.start), (7, 3, 'Z', 4242));
        assert_eq!(process.comm, "a) b (c");
        assert!(parse_stat("").is_none());
    }

    #[test]
    fn a_suite_knows_its_tests_things_from_those_of_others() {
        let pid = std::process::id();
        let mark = Mark::of_this_suite();
        assert!(mark.is_on(&format!("/tmp/forgeone-test-{pid}.77-0-x")));
        assert!(mark.is_on(&format!("/tmp/forgeone-test-{pid}-0-suite")));
        assert!(!mark.is_on(&format!("/tmp/forgeone-test-{pid}7-0-x")));
        assert!(!mark.is_on("/tmp/forgeone-test-1.77-0-x"));
    }

    #[test]
    fn a_file_left_behind_is_found() {
        let temp = crate::Temp::new("leak");
        let leaks = Leaks::before_in([temp.path()]);
        leaks.assert_none();
        fs::write(temp.path().join("left"), "").unwrap();
        assert!(leaks.now().contains(&format!("file {}/left", temp.path().display())));
    }

    #[test]
    fn a_process_left_behind_is_found_by_descent_and_by_its_environment() {
        let leaks = Leaks::before();
        let mark = names::unique("process");
        let mut child = Command::new("sleep").arg("600").env("FORGEONE_TEST", &mark).spawn().unwrap();
        let line = format!("process {} started ", child.id());
        assert!(leaks.now().iter().any(|found| found.starts_with(&line)));
        assert!(bears(child.id(), &Mark(vec![mark])));
        child.kill().unwrap();
        child.wait().unwrap();
        leaks.assert_none();
    }

    #[test]
    fn a_mount_and_a_cgroup_are_found_by_their_names() {
        if !privileged::root() {
            return;
        }
        assert!(!mounts(&Mark(vec!["/proc".into()])).is_empty());
        for root in cgroup_roots() {
            let leaks = Leaks::before();
            let group = root.join(names::unique("leak"));
            if fs::create_dir(&group).is_ok() {
                let found = leaks.now();
                fs::remove_dir(&group).unwrap();
                assert!(found.contains(&format!("cgroup {}", group.display())));
                leaks.assert_none();
            }
        }
    }
}
