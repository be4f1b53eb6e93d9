//! The first instructions of the door, before the C library's.
//!
//! A start of the door that is going to start a program executes the door once more, from a read-only mount (the
//! runtime's `lifecycle::protect` says why). All that the first one does until then needs no C library, whose own start is
//! dear where CPUID goes to a hypervisor: 0.27 ms, some sixty of them. So it is done before, here; whatever isn't as
//! expected is left to what comes after, which protects in every case.
//!
//! Nothing in here may use the C library, thread-local data, or a function that the compiler may take from it (`memcmp`):
//! these are not set up yet. Bytes are read one by one, as volatile, lest a loop becomes such a call.

use libc::{AT_EMPTY_PATH, AT_FDCWD};
use std::arch::{asm, naked_asm};
use std::mem::MaybeUninit;

const SELF: *const u8 = c"/proc/self/exe".as_ptr().cast();
const NOTHING: *const u8 = c"".as_ptr().cast();

/// `ST_RDONLY` of `statfs(2)`.
const READ_ONLY: u64 = 1;
/// Where `f_flags` is among the words of the kernel's `struct statfs`, and how many there are.
const FLAGS: usize = 10;
const STATFS_WORDS: usize = 15;

/// Where the door begins: its linker is told so (the door's build.rs).
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn forgeone_start() -> ! {
    // The stack is as the kernel made it, aligned to 16 bytes, with the arguments on top; `_start` finds it so again, and
    // what the kernel leaves in rdx for it, which is nothing.
    naked_asm!("mov rdi, rsp", "call {early}", "xor edx, edx", "jmp _start", early = sym early)
}

/// Executes the door from a read-only mount, or returns.
///
/// # Safety
/// `stack` is the stack of a process that has just been executed.
unsafe extern "C" fn early(stack: *const usize) {
    // SAFETY: the first word is the number of arguments.
    let count = unsafe { *stack };
    // The arguments are behind it and end with NULL, as does the environment, which is behind them.
    let args: *const *const u8 = stack.wrapping_add(1).cast();
    let environment = args.wrapping_add(count + 1);
    let starts = |number| {
        let arg = args.wrapping_add(number);
        // SAFETY: `number` is less than the number of arguments.
        let arg = unsafe { *arg };
        // SAFETY: an argument is a string.
        let is = |word: &[u8]| unsafe { is(arg, word) };
        is(b"run") || is(b"exec") || is(b"create")
    };
    // One of these words may be something else's value: then the door is protected without need.
    if !(1..count).any(starts) || is_ready() {
        return;
    }
    let flags = libc::OPEN_TREE_CLONE as usize | libc::OPEN_TREE_CLOEXEC as usize;
    // SAFETY: the path is a constant.
    let tree = unsafe { call(libc::SYS_open_tree, [AT_FDCWD as usize, SELF as usize, flags, 0, 0]) };
    let Ok(tree) = usize::try_from(tree) else { return };
    // `struct mount_attr`: what to set, what to clear, propagation, user namespace.
    let read_only = [libc::MOUNT_ATTR_RDONLY, 0, 0, 0];
    let (attr, size) = (&raw const read_only as usize, size_of_val(&read_only));
    let empty = AT_EMPTY_PATH as usize;
    // SAFETY: the path is a constant, and the structure outlives the call.
    let set = unsafe { call(libc::SYS_mount_setattr, [tree, NOTHING as usize, empty, attr, size]) };
    if set == 0 {
        let (args, environment) = (args as usize, environment as usize);
        // SAFETY: the arrays are the kernel's own, which end with NULL. Comes back only when it failed.
        unsafe { call(libc::SYS_execveat, [tree, NOTHING as usize, args, environment, empty]) };
    }
    // SAFETY: the descriptor was made here, and nobody knows of it.
    unsafe { call(libc::SYS_close, [tree, 0, 0, 0, 0]) };
}

/// Whether it is executed from a read-only place already; or by an ordinary user, of whom more has to be asked.
fn is_ready() -> bool {
    // SAFETY: takes nothing.
    let user = unsafe { call(libc::SYS_geteuid, [0; 5]) };
    let mut stat = MaybeUninit::<[u64; STATFS_WORDS]>::uninit();
    // SAFETY: the path is a constant; the kernel writes as many words as `stat` has.
    let asked = unsafe { call(libc::SYS_statfs, [SELF as usize, stat.as_mut_ptr() as usize, 0, 0, 0]) };
    if user != 0 || asked != 0 {
        return true;
    }
    let flags = stat.as_ptr().cast::<u64>().wrapping_add(FLAGS);
    // SAFETY: the call has written it.
    unsafe { flags.read_volatile() & READ_ONLY != 0 }
}

/// Whether a string is this word.
///
/// # Safety
/// `text` ends with NUL.
unsafe fn is(text: *const u8, word: &[u8]) -> bool {
    for (i, byte) in word.iter().enumerate() {
        let at = text.wrapping_add(i);
        // SAFETY: all bytes before this one were those of the word, so that the string goes on.
        if unsafe { at.read_volatile() } != *byte {
            return false;
        }
    }
    let end = text.wrapping_add(word.len());
    // SAFETY: as above: this byte is behind the word.
    unsafe { end.read_volatile() == 0 }
}

/// A system call; an error is a negative number.
///
/// # Safety
/// The call's own.
unsafe fn call(number: libc::c_long, [a, b, c, d, e]: [usize; 5]) -> isize {
    let result;
    // SAFETY: the kernel's convention for five arguments; the caller answers for what the call does.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
            in("r8") e, lateout("rcx") _, lateout("r11") _);
    }
    result
}
