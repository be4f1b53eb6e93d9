//! The container's cgroups: made, limited, entered and removed.

use crate::arguments::Arguments;
use forgeone_sys::bpf::{BpfInstruction, device_program_attach, device_program_load};
use forgeone_sys::fs::{
    AtFlags, CWD, Mode, OFlags, mkdirat, open, read_file_at, unlinkat, write_file_at, write_once,
};
use forgeone_sys::{OwnedFd, Result};

/// Character devices that every container may use; the minor number -1 is any.
const DEVICES: [(i32, i32); 9] =
    [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2), (10, 200), (136, -1)];

/// The cgroups of one container.
#[derive(Default)]
pub(crate) struct Group {
    directories: Vec<String>,
    tasks: Vec<OwnedFd>,
    /// The cgroup2 directory, to be born in.
    pub(crate) unified: Option<OwnedFd>,
}

impl Group {
    /// Makes and limits them.
    pub(crate) fn make(arguments: &Arguments) -> Result<Self> {
        let group = Self::open(arguments, |directory| mkdirat(CWD, directory, 0o755))?;
        for (hierarchy, directory) in arguments.v1.iter().zip(&group.directories) {
            for controller in hierarchy.split(',') {
                limit_v1(controller, directory, arguments)?;
            }
        }
        if let Some(unified) = &group.unified {
            limit_v2(unified, arguments)?;
        }
        Ok(group)
    }

    /// Those of a running container.
    pub(crate) fn of_running(arguments: &Arguments) -> Result<Self> {
        Self::open(arguments, |_| Ok(()))
    }

    fn open(arguments: &Arguments, first: impl Fn(&str) -> Result<()>) -> Result<Self> {
        let mut group = Self::default();
        for hierarchy in &arguments.v1 {
            let directory = format!("/sys/fs/cgroup/{hierarchy}{}", arguments.group);
            first(&directory)?;
            group.tasks.push(open(format!("{directory}/tasks"), OFlags::WRONLY, Mode::empty())?);
            group.directories.push(directory);
        }
        if arguments.v2 {
            let directory = format!("/sys/fs/cgroup{}", arguments.group);
            first(&directory)?;
            group.unified =
                Some(open(directory.as_str(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?);
            group.directories.push(directory);
        }
        Ok(group)
    }

    /// The calling process enters the v1 hierarchies.
    pub(crate) fn enter(&self) -> Result<()> {
        self.tasks.iter().try_for_each(|tasks| write_once(tasks, b"0"))
    }

    /// Removes them, when the last process has gone. The kernel may need a moment.
    pub(crate) fn remove(&self) -> Result<()> {
        for directory in &self.directories {
            let mut tries = 0;
            while let Err(e) = unlinkat(CWD, directory.as_str(), AtFlags::REMOVEDIR) {
                tries += 1;
                if tries == 10_000 {
                    return Err(e);
                }
            }
        }
        Ok(())
    }
}

fn limit_v1(controller: &str, directory: &str, arguments: &Arguments) -> Result<()> {
    let write = |file: &str, text: &str| match text {
        "" => Ok(()),
        _ => write_file_at(CWD, format!("{directory}/{file}"), text.as_bytes()),
    };
    match controller {
        "memory" => write("memory.limit_in_bytes", &arguments.memory),
        "pids" => write("pids.max", &arguments.pids),
        "cpuset" => ["cpuset.cpus", "cpuset.mems"].iter().try_for_each(|file| {
            let above = read_file_at(CWD, format!("{directory}/../{file}"), 4096)?;
            write_file_at(CWD, format!("{directory}/{file}"), &above)
        }),
        "devices" => {
            write("devices.deny", "a")?;
            let allow = open(format!("{directory}/devices.allow"), OFlags::WRONLY, Mode::empty())?;
            write_once(&allow, b"c *:* m")?;
            write_once(&allow, b"b *:* m")?;
            DEVICES.iter().try_for_each(|(major, minor)| {
                let minor = if *minor < 0 { "*".to_owned() } else { minor.to_string() };
                write_once(&allow, format!("c {major}:{minor} rwm").as_bytes())
            })
        }
        _ => Ok(()),
    }
}

fn limit_v2(directory: &OwnedFd, arguments: &Arguments) -> Result<()> {
    for (file, limit) in [("memory.max", &arguments.memory), ("pids.max", &arguments.pids)] {
        if !limit.is_empty() {
            write_file_at(directory, file, limit.as_bytes())?;
        }
    }
    device_program_attach(directory, device_program_load(&device_program())?, None)
}

/// Allows making any device, and the use of [`DEVICES`].
fn device_program() -> Vec<BpfInstruction> {
    let op = |code, regs, off, imm| BpfInstruction { code, regs, off, imm };
    let load = |to: u8, from: i16| op(0x61, 1 << 4 | to, from, 0);
    let unless_equal = |register, value, skip| op(0x55, register, skip, value);
    let answer = |value| [op(0xb7, 0, 0, value), op(0x95, 0, 0, 0)];
    // access << 16 | kind (1 block, 2 char), major, minor: struct bpf_cgroup_dev_ctx.
    let mut program =
        vec![load(2, 0), load(4, 4), load(5, 8), op(0xbf, 2 << 4 | 3, 0, 0), op(0x77, 3, 0, 16)];
    // Access 1 is mknod.
    program.push(unless_equal(3, 1, 2));
    program.extend(answer(1));
    program.push(op(0x57, 2, 0, 0xffff));
    program.push(op(0x15, 2, 2, 2));
    program.extend(answer(0));
    for (major, minor) in DEVICES {
        match minor {
            -1 => program.push(unless_equal(4, major, 2)),
            _ => program.extend([unless_equal(4, major, 3), unless_equal(5, minor, 2)]),
        }
        program.extend(answer(1));
    }
    program.extend(answer(0));
    program
}
