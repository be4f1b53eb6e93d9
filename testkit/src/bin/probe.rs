//! Tells what a process sees, as JSON on the standard output: run inside a container to compare runtimes.
//!
//! It needs `/proc`; what can't be read is `null`, not an error. Arguments ask for more, `KIND:ARGUMENT`:
//!
//! | argument | answer under `asked` |
//! |---|---|
//! | `sysctl:net.ipv4.ip_forward` | the value, without the newline |
//! | `read:/path` | the content |
//! | `write:/path` | `"ok"` if it opens for writing, otherwise the errno's number |
//! | `stat:/path` | type, mode, owner, device numbers |
//! | `list:/path` | names in the directory |
//! | `notify:READY=1` | `"ok"` if it was sent to `NOTIFY_SOCKET`, otherwise the errno's number |
//!
//! What it can't see: a Rust program starts with SIGPIPE ignored and with `/dev/null` in place of a closed
//! standard descriptor, whatever it was given. Tests of those two run busybox.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use serde_json::{Map, Value, json};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

fn main() {
    let status = fields("/proc/self/status");
    let seen = json!({
        "process": process(&status),
        "credentials": credentials(&status),
        "signals": pick(&status, &["SigBlk", "SigIgn"]),
        "limits": limits(),
        "namespaces": namespaces(),
        "uid_map": rows("/proc/self/uid_map"),
        "gid_map": rows("/proc/self/gid_map"),
        "setgroups": line("/proc/self/setgroups"),
        "timens_offsets": rows("/proc/self/timens_offsets"),
        "hostname": line("/proc/sys/kernel/hostname"),
        "domainname": line("/proc/sys/kernel/domainname"),
        "mounts": mounts(),
        "cgroup": text("/proc/self/cgroup").map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()),
        "root": list(Path::new("/")),
        "dev": devices(),
        "descriptors": descriptors(),
        "keyrings": keyrings(),
        "asked": asked(),
    });
    println!("{seen:#}");
}

fn process(status: &Map<String, Value>) -> Value {
    let stat = text("/proc/self/stat").unwrap_or_default();
    let stat: Vec<_> = stat.rsplit_once(") ").map_or(Vec::new(), |(_, rest)| rest.split(' ').collect());
    let number = |field: usize| stat.get(field - 3).and_then(|field| field.parse::<i64>().ok());
    json!({
        "args": std::env::args().collect::<Vec<_>>(),
        "env": std::env::vars_os().map(|(key, value)| format!("{}={}", key.display(), value.display())).collect::<Vec<_>>(),
        "cwd": std::env::current_dir().ok(),
        "executable": fs::read_link("/proc/self/exe").ok(),
        "pid": number_of(status, "NSpid"),
        "ppid": number(4),
        "process_group": number(5),
        "session": number(6),
        "terminal": number(7),
        "nice": number(19),
        "scheduling_policy": number(41),
        "umask": status.get("Umask"),
        "no_new_privs": status.get("NoNewPrivs"),
        "seccomp": status.get("Seccomp"),
        "seccomp_filters": status.get("Seccomp_filters"),
        "cpus_allowed": status.get("Cpus_allowed_list"),
        "oom_score_adj": line("/proc/self/oom_score_adj"),
        "loginuid": line("/proc/self/loginuid"),
        "personality": line("/proc/self/personality"),
        "apparmor": line("/proc/self/attr/current"),
    })
}

fn credentials(status: &Map<String, Value>) -> Value {
    let names = ["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
    pick(status, &names)
}

/// `NAME  SOFT  HARD  UNIT` in fixed columns, proc_pid_limits(5).
fn limits() -> Value {
    let text = text("/proc/self/limits").unwrap_or_default();
    let row = |line: &str| {
        let name = line.get(..26)?.trim().to_owned();
        let mut values = line.get(26..)?.split_whitespace().map(str::to_owned);
        Some((name, json!({ "soft": values.next()?, "hard": values.next()? })))
    };
    Value::Object(text.lines().skip(1).filter_map(row).collect())
}

fn namespaces() -> Value {
    let entries = fs::read_dir("/proc/self/ns").into_iter().flatten().flatten();
    let links = entries.map(|entry| {
        let target = fs::read_link(entry.path()).ok();
        (entry.file_name().to_string_lossy().into_owned(), json!(target))
    });
    Value::Object(links.collect())
}

/// mountinfo in the order of the mounts, proc_pid_mountinfo(5); ids and numbers that differ at each start are
/// left out, options are sorted.
fn mounts() -> Value {
    let text = text("/proc/self/mountinfo").unwrap_or_default();
    Value::Array(text.lines().filter_map(mount).collect())
}

fn mount(line: &str) -> Option<Value> {
    let (front, back) = line.split_once(" - ")?;
    let front: Vec<_> = front.split(' ').collect();
    let back: Vec<_> = back.split(' ').collect();
    let options = |text: &str| {
        let mut options: Vec<_> = text.split(',').map(str::to_owned).collect();
        options.sort();
        options
    };
    let propagation = front.get(6..)?.iter().map(|field| field.split(':').next().unwrap_or(field));
    Some(json!({
        "root": front.get(3)?,
        "point": front.get(4)?,
        "options": options(front.get(5)?),
        "propagation": propagation.collect::<Vec<_>>(),
        "type": back.first()?,
        "source": back.get(1)?,
        "super_options": options(back.get(2)?),
    }))
}

/// All of `/dev` by path, without what lies in file systems mounted below it.
fn devices() -> Value {
    let mut found = Map::new();
    let device = fs::metadata("/dev").map(|dev| dev.dev()).ok();
    walk(Path::new("/dev"), device, &mut found);
    Value::Object(found)
}

fn walk(directory: &Path, device: Option<u64>, found: &mut Map<String, Value>) {
    for name in list(directory) {
        let path = directory.join(name);
        found.insert(path.display().to_string(), stat(&path));
        let inner = fs::symlink_metadata(&path).ok();
        if inner.is_some_and(|inner| inner.is_dir() && Some(inner.dev()) == device) {
            walk(&path, device, found);
        }
    }
}

fn stat(path: &Path) -> Value {
    let Ok(found) = fs::symlink_metadata(path) else { return Value::Null };
    let kind = found.file_type();
    let names = [
        (kind.is_symlink(), "symlink"),
        (kind.is_dir(), "directory"),
        (kind.is_char_device(), "character device"),
        (kind.is_block_device(), "block device"),
        (kind.is_fifo(), "fifo"),
        (kind.is_socket(), "socket"),
    ];
    let name = names.iter().find(|(is, _)| *is).map_or("file", |(_, name)| name);
    let device = found.rdev();
    let major = device >> 8 & 0xfff | device >> 32 & !0xfff;
    let minor = device & 0xff | device >> 12 & !0xff;
    json!({
        "type": name,
        "mode": format!("{:04o}", found.mode() & 0o7777),
        "owner": format!("{}:{}", found.uid(), found.gid()),
        "device": (kind.is_char_device() || kind.is_block_device()).then(|| format!("{major}:{minor}")),
        "target": fs::read_link(path).ok(),
    })
}

/// Open descriptors and what they are, without the one that reads the list; numbers in `pipe:[…]` differ at
/// each start and are left out.
fn descriptors() -> Value {
    let entries: Vec<_> = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten().collect();
    let open = entries.into_iter().filter_map(|entry| {
        let target = fs::read_link(entry.path()).ok()?.display().to_string();
        let target = target.split_once(":[").map_or(target.clone(), |(kind, _)| kind.to_owned());
        Some((entry.file_name().to_string_lossy().into_owned(), target))
    });
    let own = format!("/proc/{}/fd", std::process::id());
    Value::Object(open.filter(|(_, target)| *target != own).map(|(fd, target)| (fd, json!(target))).collect())
}

/// Names of the keyrings that this process may view, proc_keys(5), without the counts behind them.
fn keyrings() -> Value {
    let text = text("/proc/keys").unwrap_or_default();
    let rings = text.lines().filter_map(|line| line.split_once(" keyring ")).map(|(_, name)| name);
    let mut names: Vec<_> =
        rings.map(|name| name.rsplit_once(':').map_or(name, |(name, _)| name).trim()).collect();
    names.sort_unstable();
    json!(names)
}

fn asked() -> Value {
    let answers = std::env::args().skip(1).filter_map(|question| {
        let (kind, argument) = question.split_once(':')?;
        let path = Path::new(argument);
        let answer = match kind {
            "sysctl" => json!(line(&format!("/proc/sys/{}", argument.replace('.', "/")))),
            "read" => json!(text(argument)),
            "write" => write(path),
            "stat" => stat(path),
            "list" => json!(list(path)),
            "notify" => notify(argument),
            _ => return None,
        };
        Some((question, answer))
    });
    Value::Object(answers.collect())
}

fn write(path: &Path) -> Value {
    match fs::OpenOptions::new().write(true).open(path) {
        Ok(_) => json!("ok"),
        Err(e) => json!(e.raw_os_error()),
    }
}

/// As sd_notify(3), for sockets with a path.
fn notify(message: &str) -> Value {
    let address = std::env::var_os("NOTIFY_SOCKET").unwrap_or_default();
    match UnixDatagram::unbound().and_then(|socket| socket.send_to(message.as_bytes(), address)) {
        Ok(_) => json!("ok"),
        Err(e) => json!(e.raw_os_error()),
    }
}

fn list(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn text(path: &str) -> Option<String> {
    Some(String::from_utf8_lossy(&fs::read(path).ok()?).into_owned())
}

fn line(path: &str) -> Option<String> {
    Some(text(path)?.trim_end_matches(['\n', '\0']).to_owned())
}

/// Lines of columns, blanks made one.
fn rows(path: &str) -> Option<Vec<String>> {
    let text = text(path)?;
    Some(text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect())
}

/// `Name: value` by name.
fn fields(path: &str) -> Map<String, Value> {
    let text = text(path).unwrap_or_default();
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.to_owned(), json!(value.trim()))).collect()
}

fn pick(fields: &Map<String, Value>, names: &[&str]) -> Value {
    Value::Object(names.iter().map(|name| (name.to_string(), json!(fields.get(*name)))).collect())
}

/// The innermost of a list of numbers: `NSpid` has one per PID namespace.
fn number_of(fields: &Map<String, Value>, name: &str) -> Option<i64> {
    fields.get(name)?.as_str()?.split_whitespace().last()?.parse().ok()
}
