//! The `bpf(2)` calls that a device filter of cgroup v2 needs.

use crate::error::{Errno, Fail, Result, check};
use crate::show;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

const BPF_PROG_LOAD: u32 = 5;
const BPF_PROG_ATTACH: u32 = 8;
const BPF_PROG_DETACH: u32 = 9;
const BPF_PROG_GET_FD_BY_ID: u32 = 13;
const BPF_PROG_QUERY: u32 = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;
const BPF_F_REPLACE: u32 = 4;

/// The verifier's log is cut off at this many bytes, and an error shows its last [`LOG_TAIL`].
const LOG_SIZE: usize = 64 << 10;
const LOG_TAIL: usize = 400;
/// The most programs that one cgroup may have (`BPF_CGROUP_MAX_PROGS`).
const PROGRAMS_MAX: usize = 64;

/// An instruction of eBPF (`struct bpf_insn`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BpfInstruction {
    /// Operation.
    pub code: u8,
    /// Destination register in the low four bits, source register in the high four.
    pub regs: u8,
    /// Offset of a jump or memory access.
    pub off: i16,
    /// Constant operand.
    pub imm: i32,
}

/// `union bpf_attr` for BPF_PROG_LOAD, up to `kern_version`.
#[repr(C)]
#[derive(Default)]
struct LoadAttributes {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// `union bpf_attr` for BPF_PROG_ATTACH and BPF_PROG_DETACH.
#[repr(C)]
#[derive(Default)]
struct AttachAttributes {
    target_fd: u32,
    program_fd: u32,
    kind: u32,
    flags: u32,
    replace_fd: u32,
}

/// `union bpf_attr` for BPF_PROG_QUERY.
#[repr(C)]
#[derive(Default)]
struct QueryAttributes {
    target_fd: u32,
    kind: u32,
    query_flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    reserved: u32,
}

/// `union bpf_attr` for BPF_PROG_GET_FD_BY_ID.
#[repr(C)]
#[derive(Default)]
struct IdAttributes {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// `bpf(2)`.
///
/// # Safety
/// `A` has the layout of `union bpf_attr` for `command`, and every address in it is of memory that lives, and
/// has the size that `attributes` gives, during the call.
unsafe fn bpf<A>(command: u32, attributes: &mut A) -> std::result::Result<i32, Errno> {
    let (attributes, size) = (std::ptr::from_mut(attributes), size_of::<A>());
    // SAFETY: the caller's promise, and a structure of `size` bytes.
    check(unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size) }).map(|value| value as i32)
}

fn load(program: &[BpfInstruction], log: &mut [u8]) -> std::result::Result<OwnedFd, Errno> {
    let mut attributes = LoadAttributes {
        kind: BPF_PROG_TYPE_CGROUP_DEVICE,
        instruction_count: program.len() as u32,
        instructions: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: u32::from(!log.is_empty()),
        log_size: log.len() as u32,
        log: if log.is_empty() { 0 } else { log.as_mut_ptr() as u64 },
        ..LoadAttributes::default()
    };
    // SAFETY: the layout is BPF_PROG_LOAD's; program, licence and log are borrowed for the call, with their
    // lengths.
    let raw = unsafe { bpf(BPF_PROG_LOAD, &mut attributes) }?;
    // SAFETY: the kernel has just made this descriptor; nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// `BPF_PROG_LOAD` of a device filter. If the verifier refuses it, the error has the end of its log.
pub fn device_program_load(program: &[BpfInstruction]) -> Result<OwnedFd> {
    let errno = match load(program, &mut []) {
        Ok(fd) => return Ok(fd),
        Err(errno) => errno,
    };
    // Once more for the log, which would cost time and memory in the case that nearly always happens.
    let mut log = vec![0; LOG_SIZE];
    match load(program, &mut log) {
        Ok(fd) => Ok(fd),
        Err(_) => Err(errno).fail(|| {
            let tail = log_tail(&log);
            let call =
                format!("bpf(BPF_PROG_LOAD, BPF_PROG_TYPE_CGROUP_DEVICE, {} instructions)", program.len());
            if tail.is_empty() { call } else { format!("{call}: {tail}") }
        }),
    }
}

/// The end of a NUL-terminated log, in one line.
fn log_tail(log: &[u8]) -> String {
    let text = log.split(|byte| *byte == 0).next().unwrap_or_default();
    let tail = &text[text.len().saturating_sub(LOG_TAIL)..];
    String::from_utf8_lossy(tail)
        .split('\n')
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}

fn number(fd: BorrowedFd) -> u32 {
    fd.as_raw_fd() as u32
}

/// `BPF_PROG_ATTACH` of a device filter to a cgroup, beside those that others have attached; with `replace`,
/// in the place of that one (Linux 5.6).
pub fn device_program_attach(
    cgroup: impl AsFd,
    program: impl AsFd,
    replace: Option<BorrowedFd>,
) -> Result<()> {
    let mut attributes = AttachAttributes {
        target_fd: number(cgroup.as_fd()),
        program_fd: number(program.as_fd()),
        kind: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_MULTI | replace.map_or(0, |_| BPF_F_REPLACE),
        replace_fd: replace.map_or(0, number),
    };
    // SAFETY: the layout is BPF_PROG_ATTACH's, which holds no address.
    unsafe { bpf(BPF_PROG_ATTACH, &mut attributes) }.map(drop).fail(|| {
        let flags = if replace.is_some() { "BPF_F_ALLOW_MULTI|BPF_F_REPLACE" } else { "BPF_F_ALLOW_MULTI" };
        format!("bpf(BPF_PROG_ATTACH, {}, BPF_CGROUP_DEVICE, {flags})", show::fd(&cgroup))
    })
}

/// `BPF_PROG_DETACH` of a device filter from a cgroup.
pub fn device_program_detach(cgroup: impl AsFd, program: impl AsFd) -> Result<()> {
    let mut attributes = AttachAttributes {
        target_fd: number(cgroup.as_fd()),
        program_fd: number(program.as_fd()),
        kind: BPF_CGROUP_DEVICE,
        ..AttachAttributes::default()
    };
    // SAFETY: the layout is BPF_PROG_DETACH's, which holds no address.
    unsafe { bpf(BPF_PROG_DETACH, &mut attributes) }
        .map(drop)
        .fail(|| format!("bpf(BPF_PROG_DETACH, {}, BPF_CGROUP_DEVICE)", show::fd(&cgroup)))
}

/// `BPF_PROG_QUERY`: the device filters that are attached to a cgroup itself, in the order in which they
/// were.
pub fn device_programs(cgroup: impl AsFd) -> Result<Vec<OwnedFd>> {
    let mut ids = [0u32; PROGRAMS_MAX];
    let mut attributes = QueryAttributes {
        target_fd: number(cgroup.as_fd()),
        kind: BPF_CGROUP_DEVICE,
        ids: ids.as_mut_ptr() as u64,
        count: ids.len() as u32,
        ..QueryAttributes::default()
    };
    // SAFETY: the layout is BPF_PROG_QUERY's; `ids` has room for `count` numbers and outlives the call.
    unsafe { bpf(BPF_PROG_QUERY, &mut attributes) }
        .fail(|| format!("bpf(BPF_PROG_QUERY, {}, BPF_CGROUP_DEVICE)", show::fd(&cgroup)))?;
    ids.iter().take(attributes.count as usize).map(|id| program_by_id(*id)).collect()
}

fn program_by_id(id: u32) -> Result<OwnedFd> {
    let mut attributes = IdAttributes { id, ..IdAttributes::default() };
    // SAFETY: the layout is BPF_PROG_GET_FD_BY_ID's, which holds no address.
    let raw = unsafe { bpf(BPF_PROG_GET_FD_BY_ID, &mut attributes) }
        .fail(|| format!("bpf(BPF_PROG_GET_FD_BY_ID, {id})"))?;
    // SAFETY: the kernel has just made this descriptor; nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}
