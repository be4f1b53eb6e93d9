//! What the program of `run self` prints: what it sees and may do, read from the kernel and tried out.

use super::{NAMESPACES, inode};
use forgeone_sys::credentials::CAPABILITIES;
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::mount::{self, MountFlags};
use forgeone_sys::process::{self, Namespaces};
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

/// Prints the report; the exit status is 0 unless standard output can't be written.
pub(crate) fn main() -> u8 {
    let started = std::env::var("FORGEONE_STARTED").ok().and_then(|text| text.parse().ok());
    let took = started.map_or(0, |started: u128| now().saturating_sub(started));
    let text = report(took);
    u8::from(fs::write_all(fs::stdout(), text.as_bytes()).is_err())
}

/// Nanoseconds since the epoch: a clock that inside and outside share.
pub(crate) fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}

struct Report(String);

impl Report {
    fn title(&mut self, text: &str) {
        let _ = write!(self.0, "\n{text}\n");
    }

    fn row(&mut self, name: &str, text: &str) {
        let _ = writeln!(self.0, "  {name:<16}{text}");
    }
}

/// Columns of a list's lines.
const WIDTH: usize = 76;

impl Report {
    /// A row of words, on as many lines as they need.
    fn list(&mut self, name: &str, words: &[String]) {
        let (mut line, mut name) = (String::new(), name);
        for word in words {
            if !line.is_empty() && line.len() + word.len() > WIDTH {
                self.row(name, line.trim_end());
                line.clear();
                name = "";
            }
            let _ = write!(line, "{word}  ");
        }
        self.row(name, line.trim_end());
    }
}

fn report(took: u128) -> String {
    let status = read("/proc/self/status");
    let mut out = Report(String::new());
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(out.0, "ForgeOne {version}: hello from inside a container");
    let _ = writeln!(out.0, "its root file system holds this one program, and nothing of the host");
    out.title("start");
    out.row(
        "took",
        &format!("{:.1} ms, from the runtime's plan to this program's first line", took as f64 / 1e6),
    );
    who(&mut out);
    namespaces(&mut out);
    rights(&mut out, &status);
    files(&mut out);
    limits(&mut out);
    tries(&mut out);
    missing(&mut out);
    out.0
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or("?").trim()
}

fn who(out: &mut Report) {
    out.title("who");
    let processes = std::fs::read_dir("/proc").map_or(0, |entries| {
        let numbers =
            entries.flatten().filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok());
        numbers.count()
    });
    out.row("process", &format!("pid {}; {processes} in sight", process::getpid()));
    let map = read("/proc/self/uid_map");
    let mut words = map.split_ascii_whitespace();
    let (inside, outside) = (words.next().unwrap_or("?"), words.next().unwrap_or("?"));
    out.row("user", &format!("{}; {inside} in here is {outside} on the host", process::geteuid()));
    out.row("host name", read("/proc/sys/kernel/hostname").trim());
}

fn namespaces(out: &mut Report) {
    out.title("namespaces");
    let host = std::env::var("FORGEONE_HOST").unwrap_or_default();
    let host: Vec<u64> = host.split(',').filter_map(|text| text.parse().ok()).collect();
    let (mut own, mut shared) = (Vec::new(), Vec::new());
    for (name, outside) in NAMESPACES.iter().zip(host) {
        if inode(name) == outside { shared.push(*name) } else { own.push(*name) }
    }
    out.row("of its own", &own.join(" "));
    out.row("the host's", &if shared.is_empty() { "none".to_owned() } else { shared.join(" ") });
}

fn rights(out: &mut Report, status: &str) {
    out.title("rights");
    let bits = u64::from_str_radix(field(status, "CapEff"), 16).unwrap_or(0);
    let names = CAPABILITIES.iter().enumerate().filter(|(number, _)| bits & (1 << number) != 0);
    let names: Vec<&str> = names.map(|(_, name)| *name).collect();
    let text = if names.is_empty() { format!("none of {}", CAPABILITIES.len()) } else { names.join(" ") };
    out.row("capabilities", &text);
    let gain = if field(status, "NoNewPrivs") == "1" { "on: no program can gain a right" } else { "off" };
    out.row("no_new_privs", gain);
    let filter = match field(status, "Seccomp") {
        "2" => format!("on: {} system calls answered, all others refused", super::CALLS.len() + 2),
        "0" => "off".to_owned(),
        other => format!("mode {other}"),
    };
    out.row("seccomp", &filter);
}

fn files(out: &mut Report) {
    out.title("files");
    let mut names: Vec<String> = std::fs::read_dir("/").map_or_else(
        |_| Vec::new(),
        |entries| entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect(),
    );
    names.sort_unstable();
    out.row("/", &names.join("  "));
    let (mut closed, mut open, mut hidden) = (Vec::new(), Vec::new(), Vec::new());
    for line in read("/proc/self/mountinfo").lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let (Some(id), Some(point), Some(options)) = (fields.first(), fields.get(4), fields.get(5)) else {
            continue;
        };
        // What another mount covers isn't there for anybody in here.
        let visible = fs::open(*point, OFlags::PATH, Mode::empty()).and_then(fs::mount_id);
        if !visible.is_ok_and(|visible| visible.to_string() == *id) {
            continue;
        }
        let read_only = options.split(',').any(|option| option == "ro");
        // Behind a null device, or an empty directory that can hold nothing.
        let covered =
            fields.get(3) == Some(&"/null") && *point != "/dev/null" || line.contains("nr_inodes=2");
        let list = match (covered, read_only) {
            (true, _) => &mut hidden,
            (false, true) => &mut closed,
            (false, false) => &mut open,
        };
        list.push((*point).to_owned());
    }
    out.list("read-only", &closed);
    out.list("writable", &open);
    out.list("hidden", &hidden);
}

/// Limit, file on v2, file on v1.
const LIMITS: [(&str, &str, &str); 3] = [
    ("memory", "memory.max", "memory/memory.limit_in_bytes"),
    ("processes", "pids.max", "pids/pids.max"),
    ("cpu", "cpu.max", "cpu/cpu.cfs_quota_us"),
];

fn limits(out: &mut Report) {
    out.title("limits (cgroup)");
    for (name, v2, v1) in LIMITS {
        let found =
            [v2, v1].map(|file| read(&format!("/sys/fs/cgroup/{file}"))).into_iter().find(|t| !t.is_empty());
        let text =
            found.map_or_else(|| "none: see missing, below".to_owned(), |text| human(name, text.trim()));
        out.row(name, &text);
    }
}

fn human(name: &str, value: &str) -> String {
    let first = value.split(' ').next().unwrap_or(value);
    match (name, first.parse::<u64>()) {
        ("memory", Ok(bytes)) => format!("{} MiB", bytes >> 20),
        ("cpu", Ok(quota)) => format!("{} % of a core", quota / 1000),
        (_, _) => value.to_owned(),
    }
}

/// Things that it must not be able to do: tried, not assumed.
fn tries(out: &mut Report) {
    out.title("tried from in here");
    let create = OFlags::WRONLY | OFlags::CREATE;
    let write = fs::open("/new", create, Mode::from_raw_mode(0o600)).map(drop);
    // With O_TRUNC the mount is asked first: that a program can't be written to while it runs protects nothing.
    let overwrite = fs::open("/proc/self/exe", OFlags::WRONLY | OFlags::TRUNC, Mode::empty()).map(drop);
    let attempts = [
        ("write to /", write),
        ("overwrite this program", overwrite),
        ("mount something", mount::mount("none", "/proc", "tmpfs", MountFlags::empty(), None)),
        ("make a namespace", process::unshare(Namespaces::USER)),
        ("signal process 2", process::kill(2, 0)),
    ];
    for (what, result) in attempts {
        let text = match result {
            Ok(()) => "ALLOWED".to_owned(),
            Err(e) => format!("refused: {}", e.to_string().rsplit(": ").next().unwrap_or_default()),
        };
        out.row("", &format!("{what:<26} {text}"));
    }
}

fn missing(out: &mut Report) {
    let mut lines = Vec::new();
    if std::env::var("FORGEONE_UID").is_ok_and(|uid| uid != "0") {
        lines.push("only one user id: ranges need an entry in /etc/subuid and newuidmap (package uidmap)");
    }
    if LIMITS
        .iter()
        .all(|(_, v2, v1)| [v2, v1].iter().all(|file| read(&format!("/sys/fs/cgroup/{file}")).is_empty()))
    {
        lines.push(
            "no limits: this user has no cgroup to make groups in (run as root, or have one delegated)",
        );
    }
    if !lines.is_empty() {
        out.title("missing on this machine");
        lines.into_iter().for_each(|line| out.row("", line));
    }
}
