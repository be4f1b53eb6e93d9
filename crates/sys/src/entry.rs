//! The entry point of a program that begins without the start-up of Rust's standard library.
//!
//! That start-up guards the main thread's stack: it reads `/proc/self/maps`, maps a signal stack and installs two
//! handlers, and it brings C's `scanf` with it. A program that lives for a few milliseconds and is executed twice for
//! each container gains by leaving it out. What it does for safety is done here.

use std::ffi::{CStr, OsStr, OsString, c_char};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Makes `$run`, a `fn() -> u8`, the program: what it returns is the exit status.
///
/// The crate says `#![no_main]`, but not for its unit tests, whose entry point is the harness's.
#[macro_export]
macro_rules! entry {
    ($run:path) => {
        // SAFETY: the one symbol of this name in the program, with the signature that C gives it; `no_main` keeps the
        // compiler from making another.
        #[unsafe(no_mangle)]
        extern "C" fn main(_: i32, argv: *const *const ::core::ffi::c_char) -> i32 {
            $crate::entry::begin(argv);
            $crate::entry::end($run())
        }
    };
}

/// What `main` was given: the standard library knows it by itself with glibc alone, whose start tells it to constructors.
static ARGV: AtomicPtr<*const c_char> = AtomicPtr::new(std::ptr::null_mut());

/// The program's name and arguments, as `std::env::args_os` has them.
pub fn args() -> Vec<OsString> {
    let mut next = ARGV.load(Ordering::Relaxed).cast_const();
    if next.is_null() {
        return std::env::args_os().collect();
    }
    let mut args = Vec::new();
    loop {
        // SAFETY: `next` is in the array that `begin` was given, which ends with NULL and was not passed yet.
        let arg = unsafe { *next };
        if arg.is_null() {
            return args;
        }
        // SAFETY: an argument: a string that ends with NUL and lives as long as the process.
        let arg = unsafe { CStr::from_ptr(arg) };
        args.push(OsStr::from_bytes(arg.to_bytes()).to_owned());
        // SAFETY: the array goes on behind an entry that isn't NULL.
        next = unsafe { next.add(1) };
    }
}

/// Keeps the arguments, opens `/dev/null` in place of each standard stream that is closed, so that no file that is opened later becomes one,
/// and ignores `SIGPIPE`, so that a reader that goes away is an error of the write.
#[doc(hidden)]
pub fn begin(argv: *const *const c_char) {
    ARGV.store(argv.cast_mut(), Ordering::Relaxed);
    let mut streams = [0, 1, 2].map(|fd| libc::pollfd { fd, events: 0, revents: 0 });
    // SAFETY: the pointer and the length are those of an array that outlives the call.
    let polled = unsafe { libc::poll(streams.as_mut_ptr(), 3, 0) };
    for _ in streams.iter().filter(|stream| polled > 0 && stream.revents & libc::POLLNVAL != 0) {
        // SAFETY: the path is a constant that ends with NUL. The lowest free number is the one of the closed stream, since
        // the streams are gone through in order; it is for the life of the process.
        if unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) } < 0 {
            std::process::abort();
        }
    }
    // SAFETY: the disposition is a constant; no handler of ours is replaced, since nothing ran before.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Flushes and ends.
#[doc(hidden)]
pub fn end(status: u8) -> ! {
    std::process::exit(i32::from(status))
}
