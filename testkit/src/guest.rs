//! A virtual machine in which tests run that this one may not be able to: Debian with systemd, cgroup v2 alone.
//!
//! ```text
//!  tests/vm/setup ─ mmdebstrap ─ mke2fs ──► disk, kernel, initrd      kept by a hash of the recipe
//!  forgeone, probe, test binaries, tests/vm/{inside,each} ─ mke2fs ──► second disk
//!  qemu (KVM, or in software): inside runs each test ──► second serial line ──► Results
//! ```
//!
//! Nothing is built for it: the programs are those that run outside. Its disk is never changed: what the guest writes
//! is forgotten. It has no network. A boot runs the tests in one [`Variant`].

use crate::cache::{self, run};
use crate::{Temp, debian, privileged, programs};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What the guest has beside Debian's smallest system.
const PACKAGES: &str = "systemd-sysv,udev,kmod,dbus,dbus-user-session,libpam-systemd,linux-image-cloud-amd64,\
    initramfs-tools,passwd,login,uidmap,util-linux,bsdutils,procps,iproute2,keyutils,strace,jq,busybox-static,\
    e2fsprogs,mount,apparmor,podman,conmon,crun,catatonit,slirp4netns,passt,fuse-overlayfs,selinux-policy-default";

/// Size of its disk in MiB; most of it is a hole in the file.
const DISK: u32 = 3072;

/// How long, under KVM, the way to the first test may take: a `/dev/kvm` exists that hangs its guests.
const START: Duration = Duration::from_secs(40);

/// As what the guest's tests are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// As root, with groups that the door makes itself.
    Cgroupfs,
    /// As root, and every door is called with `--systemd-cgroup`.
    Systemd,
    /// As an ordinary user: root of a user namespace with the user's ids, as Podman calls a runtime; the group in which
    /// the tests run is delegated to the user by systemd.
    User,
    /// As root, on a kernel with SELinux, which is permissive, in place of AppArmor.
    Selinux,
}

impl Variant {
    /// All, with the words by which they are known.
    pub const ALL: [(&str, Self); 4] = [
        ("cgroupfs", Self::Cgroupfs),
        ("systemd", Self::Systemd),
        ("user", Self::User),
        ("selinux", Self::Selinux),
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, variant)| *variant == self).map_or("", |(word, _)| word)
    }

    fn kernel(self) -> &'static str {
        match self {
            Self::Selinux => "security=selinux selinux=1 enforcing=0",
            _ => "apparmor=1 security=apparmor selinux=0",
        }
    }
}

/// How the tests in the guest went, by their names: that of the binary, and the test's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Results {
    /// Names of those that passed.
    pub passed: Vec<String>,
    /// Those that failed, with what they said.
    pub failed: BTreeMap<String, String>,
    /// Those that were skipped, with the reason.
    pub skipped: BTreeMap<String, String>,
}

/// What runs in the guest.
#[derive(Debug)]
pub struct Tests<'a> {
    /// The programs under test, with the variables that name them.
    pub programs: &'a [(&'static str, PathBuf)],
    /// The test binaries, with their names as nextest has them.
    pub binaries: &'a [(&'static str, PathBuf)],
    /// What the names of the tests begin with that are to be run.
    pub names: &'a [&'a str],
    /// How long all of them may take.
    pub limit: Duration,
}

/// Boots the guest and runs the tests in it.
///
/// # Errors
/// Why there is no guest, or what became of it.
pub fn run_tests(tests: &Tests, variant: Variant) -> Result<Results, String> {
    for (program, package) in
        [("qemu-system-x86_64", "qemu-system-x86"), ("mke2fs", "e2fsprogs"), ("mmdebstrap", "mmdebstrap")]
    {
        if privileged::find_program(program).is_none() {
            return Err(format!("needs {program} (Debian package {package})"));
        }
    }
    if std::env::consts::ARCH != "x86_64" {
        return Err("needs a machine of the architecture x86_64".into());
    }
    let image = cache::kept(&recipe(), make)?;
    let temp = Temp::new("guest");
    let share = share(&temp, tests, variant)?;
    let results = temp.path().join("results");
    let text =
        boot(&Machine { image: &image, share: &share, results: &results, variant, limit: tests.limit })?;
    parse(&text).ok_or_else(|| {
        let console = fs::read(temp.path().join("console")).unwrap_or_default();
        let console = String::from_utf8_lossy(&console).into_owned();
        let last: Vec<&str> = console.lines().rev().take(20).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        format!("the guest ended before its tests did:\n{text}\n{}", last.join("\n"))
    })
}

fn recipe() -> String {
    let mut hasher = DefaultHasher::new();
    let setup = fs::read_to_string(setup()).unwrap_or_default();
    (debian::SUITE, PACKAGES, DISK, setup, "directory, ext4").hash(&mut hasher);
    format!("guest-{}-{:016x}", debian::SUITE, hasher.finish())
}

fn setup() -> PathBuf {
    programs::workspace().join("tests/vm/setup")
}

/// Makes the guest's disk, and takes kernel and initrd out of it.
fn make(directory: &Path) -> Result<(), String> {
    if privileged::effective_uid() != 0 {
        return Err("making it needs root".into());
    }
    let root = directory.join("root");
    fs::create_dir_all(&root).map_err(|e| format!("mkdir {}: {e}", root.display()))?;
    let mut debian = Command::new("mmdebstrap");
    debian.args(["--variant=minbase", "--quiet"]).arg(format!("--include={PACKAGES}"));
    for path in ["doc", "man", "locale"] {
        debian.arg(format!("--dpkgopt=path-exclude=/usr/share/{path}/*"));
    }
    debian.arg(format!("--customize-hook={} \"$1\"", setup().display()));
    run(debian.arg(debian::SUITE).arg(&root).args(debian::mirror()))?;
    for (pattern, name) in [("vmlinuz-", "kernel"), ("initrd.img-", "initrd")] {
        let boot = fs::read_dir(root.join("boot")).map_err(|e| e.to_string())?.flatten();
        let found = boot
            .map(|entry| entry.path())
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(pattern)));
        let found = found.ok_or_else(|| format!("no {pattern}* in the guest's /boot"))?;
        fs::rename(found, directory.join(name)).map_err(|e| e.to_string())?;
    }
    disk(&root, "root", DISK, &directory.join("disk"))?;
    fs::remove_dir_all(&root).map_err(|e| e.to_string())
}

/// An ext4 file system with what a directory holds.
fn disk(from: &Path, label: &str, mib: u32, file: &Path) -> Result<(), String> {
    let mut make = Command::new("mke2fs");
    make.args(["-q", "-t", "ext4", "-L", label, "-E", "root_owner=0:0", "-d"]).arg(from);
    run(make.arg(file).arg(format!("{mib}M")))
}

/// The disk with the programs, and what is to be run.
fn share(temp: &Temp, tests: &Tests, variant: Variant) -> Result<PathBuf, String> {
    let directory = temp.path().join("share");
    let mut variables = format!("export FORGEONE_GUEST={}\n", variant.word());
    let copy = |from: &Path, name: &str| {
        fs::copy(from, directory.join(name)).map_err(|e| format!("copy {}: {e}", from.display()))
    };
    fs::create_dir_all(directory.join("binaries")).map_err(|e| e.to_string())?;
    let mut size = 0;
    for (name, binary) in tests.binaries {
        size += copy(binary, &format!("binaries/{name}"))?;
    }
    for (variable, program) in tests.programs {
        // Two of them are doors.
        let name = format!("{variable}/{}", program.file_name().unwrap_or_default().to_string_lossy());
        fs::create_dir(directory.join(variable)).map_err(|e| e.to_string())?;
        size += copy(program, &name)?;
        variables += &format!("export {variable}=/tests/{name}\n");
    }
    for script in ["inside", "each"] {
        copy(&programs::workspace().join("tests/vm").join(script), script)?;
    }
    for (name, text) in [("variables", variables), ("names", tests.names.join("\n") + "\n")] {
        fs::write(directory.join(name), text).map_err(|e| e.to_string())?;
    }
    let file = temp.path().join("share.ext4");
    disk(&directory, "tests", (size >> 20) as u32 * 5 / 4 + 32, &file)?;
    Ok(file)
}

/// A guest to be booted: the directory with its disk and kernel, the second disk, and the file of its second serial line.
struct Machine<'a> {
    image: &'a Path,
    share: &'a Path,
    results: &'a Path,
    variant: Variant,
    limit: Duration,
}

/// Boots it, under KVM if that works, and waits for its end; gives what it wrote to its second serial line.
fn boot(machine: &Machine) -> Result<String, String> {
    // That KVM hangs is remembered, for this kernel, where we may write.
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let hangs = machine.image.join(format!("kvm-hangs-{}", release.trim()));
    let kvm = File::options().read(true).write(true).open("/dev/kvm").is_ok() && !hangs.exists();
    for accelerator in ["kvm", "tcg,thread=multi"].iter().skip(usize::from(!kvm)) {
        let start = if *accelerator == "kvm" { START } else { machine.limit };
        let mut qemu = qemu(machine, accelerator)?;
        let ended = wait(&mut qemu, machine, start);
        if ended.is_none() {
            // Failing means that it ended just now.
            let _ = qemu.kill();
            qemu.wait().map_err(|e| e.to_string())?;
        }
        let text = fs::read_to_string(machine.results).unwrap_or_default();
        if *accelerator == "kvm" && !text.contains("begin") {
            let _ = fs::write(&hangs, "");
            continue;
        }
        return Ok(text);
    }
    Err("KVM hangs, and qemu has no other way".into())
}

fn qemu(machine: &Machine, accelerator: &str) -> Result<Child, String> {
    let Machine { image, share, results, variant, .. } = machine;
    let console = results.with_file_name("console");
    let drive = |file: &Path| format!("file={},format=raw,if=virtio,snapshot=on", file.display());
    let serial = |file: &Path| format!("file:{}", file.display());
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-M", "q35", "-smp", "2", "-m", "2048", "-nic", "none", "-no-reboot"]);
    qemu.args(["-display", "none", "-monitor", "none", "-accel", accelerator]);
    qemu.args(["-cpu", if accelerator == "kvm" { "host" } else { "max" }]);
    qemu.arg("-kernel").arg(image.join("kernel")).arg("-initrd").arg(image.join("initrd"));
    let options =
        format!("root=LABEL=root rw console=ttyS0 quiet systemd.show_status=0 {}", variant.kernel());
    qemu.args(["-append", &options]);
    qemu.args(["-drive", &drive(&image.join("disk")), "-drive", &drive(share)]);
    qemu.args(["-serial", &serial(&console), "-serial", &serial(results)]);
    // What it says of a KVM that doesn't work is no matter.
    let spawned = qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    spawned.map_err(|e| format!("run qemu-system-x86_64: {e}"))
}

/// Waits for the end; `None` if that takes too long, or the first test isn't reached within `start`.
fn wait(qemu: &mut Child, machine: &Machine, start: Duration) -> Option<()> {
    let began = Instant::now();
    loop {
        if qemu.try_wait().ok()?.is_some() {
            return Some(());
        }
        let reached = || fs::read_to_string(machine.results).is_ok_and(|text| text.contains("begin"));
        if began.elapsed() > machine.limit || (began.elapsed() > start && !reached()) {
            return None;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Reads `passed BINARY NAME`, `failed BINARY NAME`, `skipped BINARY NAME: REASON`, what failed ones said behind `| `, and
/// `end`.
fn parse(text: &str) -> Option<Results> {
    let mut results = Results::default();
    let mut said = String::new();
    for line in text.lines().map(|line| line.trim_end_matches('\r')) {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("passed", name) => results.passed.push(name.to_owned()),
            ("failed", name) => drop(results.failed.insert(name.to_owned(), std::mem::take(&mut said))),
            ("skipped", rest) => {
                let (name, reason) = rest.split_once(": ").unwrap_or((rest, ""));
                results.skipped.insert(name.to_owned(), reason.to_owned());
            }
            ("|", rest) => {
                said.push_str(rest);
                said.push('\n');
            }
            ("end", _) => return Some(results),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_up_to_the_end() {
        let text =
            "begin\r\npassed a::b c\r\n| why\r\n| not\r\nfailed a d\r\nskipped a e: needs f: g\r\nend\r\n";
        let results = parse(text).unwrap();
        assert_eq!(results.passed, ["a::b c"]);
        assert_eq!(results.failed["a d"], "why\nnot\n");
        assert_eq!(results.skipped["a e"], "needs f: g");
        assert_eq!(parse("begin\npassed a\n"), None);
    }
}
